/**
 * Prepares the clones that are given out next for whoever leased last from their pool, who is the likeliest to come
 * again: the mount is then not on the way of the lease. A wrong guess costs the next lessee what there is to save.
 */
import type { Logger } from "pino";
import type { TemplateName } from "../protocol/names.ts";
import type { IdMap } from "../storage/driver.ts";
import type { Storage } from "../storage/storage.ts";
import type { CloneRecord } from "./store.ts";
import type { Work } from "./work.ts";

export interface AheadOptions {
  readonly storage: Storage;
  readonly work: Work;
  /** The ready clones that are given out next, the first first. */
  readonly next: (template: TemplateName) => readonly CloneRecord[];
  readonly log: Logger;
}

export function createAhead({ storage, work, next, log }: AheadOptions) {
  const lessees = new Map<TemplateName, IdMap>();
  const tried = new WeakSet<CloneRecord>();
  const busy = new Set<TemplateName>();

  async function prepareAll(template: TemplateName): Promise<void> {
    for (;;) {
      // A mount takes most of a millisecond: whoever asks for a lease meanwhile comes between two of them.
      await new Promise((resolve) => setImmediate(resolve));
      const to = lessees.get(template);
      const clone = next(template).find((one) => !tried.has(one));
      if (!to || !clone) return;
      tried.add(clone);
      try {
        storage.of(template).prepare(clone.id, to);
      } catch (error) {
        log.debug({ clone: clone.id, err: error }, "cannot prepare a clone; its lease will tell why");
      }
    }
  }

  return {
    leased(template: TemplateName, to: IdMap): void {
      lessees.set(template, to);
    },
    /** Goes on in the background. */
    prepare(template: TemplateName): void {
      if (busy.has(template) || !lessees.has(template)) return;
      busy.add(template);
      work.run(prepareAll(template).finally(() => busy.delete(template)));
    },
  };
}
