/** Finds the snapshot for a pool's clones, and pauses after failures. */
import type { Logger } from "pino";
import { toIsolateError } from "../../protocol/errors.ts";
import type { Storage } from "../storage/storage.ts";
import type { Background } from "./background.ts";
import { refillBackoff } from "./plan.ts";
import { type PoolState, stopPause, tellWatchers } from "./pool.ts";

export interface NewestOptions {
  readonly storage: Storage;
  readonly background: Background;
  readonly stopped: () => boolean;
  readonly tend: (pool: PoolState) => void;
  readonly log: Logger;
}

export function createNewest({ storage, background, stopped, tend, log }: NewestOptions) {
  /** Records why the pool is not filled, tells its waiters, and retries after a pause. */
  function failed(pool: PoolState, thrown: unknown): void {
    const error = toIsolateError(thrown);
    pool.failures++;
    pool.lastError = error;
    const delay = refillBackoff(pool.failures);
    log.warn({ template: pool.settings.template, err: error, retryInMs: delay }, "cannot refill the pool");
    stopPause(pool);
    pool.retry = setTimeout(() => {
      pool.retry = null;
      look(pool);
    }, delay);
    pool.retry.unref();
    for (const waiter of pool.waiters) waiter.request.onWait(error.message);
    tellWatchers(pool);
  }

  async function lookOnce(pool: PoolState): Promise<void> {
    try {
      const { template, snapshots } = pool.settings;
      const latest = await storage.of(template).latest(template, snapshots);
      if (latest !== pool.latest) log.info({ template, snapshot: latest }, "clones are made from this snapshot");
      pool.latest = latest;
      if (pool.failures === 0) pool.lastError = null;
    } catch (error) {
      const { code } = toIsolateError(error);
      if (code === "no-snapshot" || code === "unknown-template") pool.latest = null;
      if (!pool.removing) failed(pool, error);
    }
  }

  /** Resolves when the newest snapshot is known. Calls during a search share one more search. */
  function look(pool: PoolState): Promise<void> {
    if (pool.looking) {
      pool.lookAgain = true;
      return pool.looking;
    }
    const search = async (): Promise<void> => {
      do {
        pool.lookAgain = false;
        await lookOnce(pool);
      } while (pool.lookAgain && !stopped());
    };
    pool.looking = search().finally(() => {
      pool.looking = null;
      tend(pool);
    });
    background.run(pool.looking);
    return pool.looking;
  }

  return { failed, look };
}
