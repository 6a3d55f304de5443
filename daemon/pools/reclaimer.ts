/** Destroys retired clones, several in parallel, and retries as long as the storage reports one as in use. */
import { rmdirSync } from "node:fs";
import type { Logger } from "pino";
import { toIsolateError } from "../../protocol/errors.ts";
import type { CloneId, TemplateName } from "../../protocol/names.ts";
import type { CloneRecord, Store } from "../records/store.ts";
import type { Storage } from "../storage/storage.ts";
import type { Background } from "./background.ts";
import { destroyBackoff } from "./plan.ts";

export interface ReclaimerOptions {
  readonly store: Store;
  readonly storage: Storage;
  readonly background: Background;
  /** Called after each attempt. */
  readonly attempted: (template: TemplateName) => void;
  readonly log: Logger;
}

/** Many, since ZFS destroys simultaneous ones in one transaction group. */
const concurrency = 20;

/** Milliseconds that somebody waits for an attempt: a storage may hang. */
const attemptPatience = 30_000;

export type Reclaimer = ReturnType<typeof createReclaimer>;

export function createReclaimer({ store, storage, background, attempted, log }: ReclaimerOptions) {
  const attempts = new Map<CloneId, number>();
  const later = new Map<CloneId, NodeJS.Timeout>();
  const awaited = new Map<CloneId, (() => void)[]>();
  const queue: CloneId[] = [];
  let underWay = 0;
  let stopped = false;

  function next(): void {
    while (underWay < concurrency && !stopped) {
      const id = queue.shift();
      if (id === undefined) return;
      const record = store.clone(id);
      if (record?.state !== "retired") continue;
      underWay++;
      background.run(
        destroy(record).finally(() => {
          underWay--;
          for (const tried of awaited.get(id) ?? []) tried();
          awaited.delete(id);
          next();
          attempted(record.template);
        }),
      );
    }
  }

  async function destroy({ id, template, lease, error: before }: CloneRecord): Promise<void> {
    const attempt = attempts.get(id) ?? 0;
    attempts.set(id, attempt + 1);
    try {
      const driver = storage.of(template);
      if (lease) {
        await driver.unview(id, lease.view);
        removeEmptyDirectory(lease.view);
      }
      await driver.destroy(id);
      store.apply(id, "destroyed");
      attempts.delete(id);
    } catch (thrown) {
      const error = toIsolateError(thrown);
      // Busy is normal: a sandbox takes a moment to end, or two seconds if its command ignores SIGTERM.
      const isNews = error.code !== "clone-busy" && error.message !== before;
      log[isNews ? "warn" : "debug"]({ clone: id, err: error }, "cannot destroy the clone yet");
      if (stopped) return;
      later.set(id, setTimeout(() => again(id), destroyBackoff(attempt)).unref());
      store.failed(id, error.message, error.code === "clone-blocked");
    }
  }

  function again(id: CloneId): void {
    clearTimeout(later.get(id));
    later.delete(id);
    queue.push(id);
    next();
  }

  return {
    /** Adds a clone that was just retired, or that a crash left half made or half destroyed. */
    retire({ id }: Pick<CloneRecord, "id">): void {
      attempts.set(id, 0);
      queue.push(id);
      next();
    },
    /**
     * Resolves when one more attempt on the clone has ended, however it did, or takes too long. A pause before it is cut
     * short.
     */
    attempt(id: CloneId): Promise<void> {
      if (store.clone(id)?.state !== "retired") return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, attemptPatience).unref();
        const tried = (): void => {
          clearTimeout(timer);
          resolve();
        };
        awaited.set(id, [...(awaited.get(id) ?? []), tried]);
        if (later.has(id)) again(id);
      });
    },
    stop(): void {
      stopped = true;
      for (const timer of later.values()) clearTimeout(timer);
    },
  };
}

function removeEmptyDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
