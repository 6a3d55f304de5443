/** Finds the snapshot for a pool's clones, and pauses after failures. */
import type { Logger } from "pino";
import { toIsolateError } from "../../protocol/errors.ts";
import type { Storage } from "../storage/storage.ts";
import type { Background } from "./background.ts";
import { refillBackoff } from "./plan.ts";
import { isOpen, type PoolState, stopPause, succeeded, tellWatchers } from "./pool.ts";

export interface NewestOptions {
  readonly storage: Storage;
  readonly background: Background;
  readonly stopped: () => boolean;
  readonly tend: (pool: PoolState) => void;
  /** Called when a template that was missing is there: the storage may have clones again that no row knows. */
  readonly returned: () => void;
  readonly log: Logger;
}

/** Milliseconds from a failure to the next try while somebody waits. */
const urgentRetry = 1000;

export function createNewest({ storage, background, stopped, tend, returned, log }: NewestOptions) {
  /** Records why the pool is not filled, tells its waiters, and retries after a pause. */
  function failed(pool: PoolState, thrown: unknown): void {
    const error = toIsolateError(thrown);
    pool.failures++;
    const isNews = pool.lastError?.message !== error.message;
    pool.lastError = error;
    pool.failedAt = performance.now();
    const backoff = refillBackoff(pool.failures);
    const delay = pool.waiters.size > 0 ? Math.min(backoff, urgentRetry) : backoff;
    const details = { template: pool.settings.template, err: error, retryInMs: delay };
    log[isNews ? "warn" : "debug"](details, "cannot refill the pool");
    retryIn(pool, delay);
    for (const waiter of pool.waiters) waiter.request.onWait(error.message);
    tellWatchers(pool);
  }

  function retryIn(pool: PoolState, delay: number): void {
    stopPause(pool);
    pool.retry = setTimeout(() => {
      pool.retry = null;
      look(pool);
    }, delay);
    pool.retry.unref();
  }

  /** Somebody waits: what failed is tried again soon, however often it has failed. */
  function hurry(pool: PoolState): void {
    if (pool.retry) retryIn(pool, Math.max(0, pool.failedAt + urgentRetry - performance.now()));
  }

  async function lookOnce(pool: PoolState): Promise<void> {
    try {
      const { template, snapshots } = pool.settings;
      const latest = await storage.of(template).latest(template, snapshots);
      if (latest !== pool.latest) log.info({ template, snapshot: latest }, "clones are made from this snapshot");
      pool.latest = latest;
      if (pool.missing) returned();
      if (pool.lookFailed || pool.failures === 0) succeeded(pool);
      Object.assign(pool, { lookFailed: false, missing: false });
    } catch (error) {
      const { code } = toIsolateError(error);
      if (code === "no-snapshot" || code === "unknown-template") pool.latest = null;
      Object.assign(pool, { lookFailed: true, missing: code === "unknown-template" });
      if (isOpen(pool)) failed(pool, error);
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

  return { failed, hurry, look };
}
