/**
 * Prepares some of a pool's ready clones for its last lessee, who is the most likely to come again: the next lease then
 * need not wait for the mount. Other lessees get another clone if there is one.
 */
import type { Logger } from "pino";
import type { TemplateName } from "../../protocol/names.ts";
import type { CloneRecord } from "../records/store.ts";
import { type IdMap, isSameMap } from "../storage/driver.ts";
import type { Storage } from "../storage/storage.ts";
import type { Background } from "./background.ts";

export interface PrepareOptions {
  readonly storage: Storage;
  readonly background: Background;
  /** The ready clones of the newest snapshot, the oldest first. */
  readonly fresh: (template: TemplateName) => readonly CloneRecord[];
  readonly log: Logger;
}

/** The number of prepared clones of a pool. */
const atMost = 4;

export type Preparer = ReturnType<typeof createPreparer>;

export function createPreparer({ storage, background, fresh, log }: PrepareOptions) {
  const lessees = new Map<TemplateName, IdMap>();
  const preparedFor = new WeakMap<CloneRecord, IdMap>();
  const busy = new Set<TemplateName>();

  function nextToPrepare(template: TemplateName): CloneRecord | undefined {
    const clones = fresh(template);
    const waiting = clones.filter((clone) => !preparedFor.has(clone));
    return clones.length - waiting.length < atMost ? waiting[0] : undefined;
  }

  async function prepareAll(template: TemplateName): Promise<void> {
    for (;;) {
      // A mount takes nearly a millisecond. The pause lets requests for leases run between two of them.
      await new Promise((resolve) => setImmediate(resolve));
      const to = lessees.get(template);
      const clone = nextToPrepare(template);
      if (!to || !clone) return;
      preparedFor.set(clone, to);
      try {
        storage.of(template).prepare(clone.id, to);
      } catch (error) {
        log.debug({ clone: clone.id, err: error }, "cannot prepare a clone; its lease will report the reason");
      }
    }
  }

  return {
    /** Returns the best clone for a lessee: one prepared for them, else one not prepared, else the oldest. */
    choose(clones: readonly CloneRecord[], to: IdMap): CloneRecord | undefined {
      const isTheirs = (clone: CloneRecord): boolean => {
        const lessee = preparedFor.get(clone);
        return lessee !== undefined && isSameMap(lessee, to);
      };
      return clones.find(isTheirs) ?? clones.find((clone) => !preparedFor.has(clone)) ?? clones[0];
    },
    leased(template: TemplateName, to: IdMap): void {
      lessees.set(template, to);
    },
    /** Works in the background. */
    prepare(template: TemplateName): void {
      if (busy.has(template) || !lessees.has(template)) return;
      busy.add(template);
      background.run(prepareAll(template).finally(() => busy.delete(template)));
    },
  };
}
