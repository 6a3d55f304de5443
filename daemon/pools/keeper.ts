/** Keeps every pool full of fresh clones: after each event it asks `plan.ts` what to do, and starts it. */
import type { Logger } from "pino";
import { IsolateError } from "../../protocol/errors.ts";
import type { CloneId, TemplateName } from "../../protocol/names.ts";
import type { CloneRecord, Store } from "../records/store.ts";
import type { Storage } from "../storage/storage.ts";
import { createBackground } from "./background.ts";
import { createMaking } from "./making.ts";
import { createNewest } from "./newest.ts";
import { isFresh, plan } from "./plan.ts";
import {
  createPoolRows,
  isOpen,
  newPool,
  type PoolSettings,
  type PoolState,
  type PoolStatus,
  stopPause,
  succeeded,
  type TakeRequest,
  tellWatchers,
} from "./pool.ts";
import { createPreparer } from "./prepare.ts";
import { createReclaimer } from "./reclaimer.ts";
import { createWaiting } from "./waiting.ts";

export interface KeeperOptions {
  readonly store: Store;
  readonly storage: Storage;
  readonly boot: string;
  /** The most clones that are made at the same time, in all pools together. */
  readonly concurrency: () => number;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Called when a lease of the template has ended. */
  readonly released: (template: TemplateName) => void;
  /** Called when a template that was missing is there: the storage may have clones again that no row knows. */
  readonly returned: () => void;
  readonly log: Logger;
}

export type Keeper = ReturnType<typeof createKeeper>;

export function createKeeper(options: KeeperOptions) {
  const { store, storage, boot, concurrency, clock, released, returned, log } = options;
  const pools = new Map<TemplateName, PoolState>();
  const rows = createPoolRows(store);
  const background = createBackground(log);
  let stopped = false;
  let lastNanoseconds = 0n;

  function nanoseconds(): bigint {
    const now = BigInt(clock()) * 1_000_000n;
    lastNanoseconds = now > lastNanoseconds ? now : lastNanoseconds + 1n;
    return lastNanoseconds;
  }

  const fresh = (pool: PoolState): CloneRecord[] => (stopped ? [] : rows.fresh(pool));
  const preparer = createPreparer({
    storage,
    background,
    fresh(template) {
      const pool = pools.get(template);
      return pool ? fresh(pool) : [];
    },
    log,
  });
  const attempted = (template: TemplateName): void => {
    const pool = pools.get(template);
    if (pool) tend(pool);
  };
  const reclaimer = createReclaimer({ store, storage, background, attempted, log });
  const newest = createNewest({ storage, background, stopped: () => stopped, tend, returned, log });
  const { failed, hurry, look: lookForSnapshot } = newest;
  const makes = { store, storage, boot, background, reclaimer, concurrency, nanoseconds };
  const making = createMaking({ ...makes, failed, lookForSnapshot, tend });
  const waiting = createWaiting({ store, preparer, fresh, tend, hurry });

  /** Checks one pool and acts. Cheap, and safe to call at any time. Never throws, as timers call it too. */
  function tend(pool: PoolState): void {
    if (stopped) return;
    try {
      waiting.serve(pool);
      const { create, reclaim } = plan(rows.facts(pool));
      for (const id of reclaim) reclaimer.retire(store.apply(id, "reclaim"));
      // The cause may be gone, and no clone is wanted that would show it.
      if (create === 0 && pool.creating === 0 && pool.retry === null && !pool.lookFailed) succeeded(pool);
      making.make(pool, create);
      preparer.prepare(pool.settings.template);
      tellWatchers(pool);
    } catch (error) {
      log.error({ template: pool.settings.template, err: error }, "cannot update the pool");
    }
  }

  function openPool(settings: PoolSettings): PoolState {
    const known = pools.get(settings.template);
    if (known) {
      known.settings = settings;
      known.dropped = false;
      return known;
    }
    const pool = newPool(settings);
    pools.set(settings.template, pool);
    return pool;
  }

  const existingOr = (template: TemplateName): PoolState =>
    openPool(pools.get(template)?.settings ?? { template, size: 0 });

  const describe = (pool: PoolState): PoolStatus => rows.describe(pool, storage.nameFor(pool.settings.template));

  /** Calls `done` after each event of the pool; resolves when it returns true, and rejects when it throws. */
  function until(pool: PoolState, done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const watcher = (): void => {
        try {
          if (stopped) throw new IsolateError("draining", {});
          if (!done()) return;
          resolve();
        } catch (error) {
          reject(error);
        }
        pool.watchers.delete(watcher);
      };
      pool.watchers.add(watcher);
      watcher();
    });
  }

  function letGo(pool: PoolState): void {
    pool.dropped = true;
    stopPause(pool);
    const { template } = pool.settings;
    for (const waiter of [...pool.waiters]) waiter.refuse(new IsolateError("unknown-template", { template, near: [] }));
    tend(pool);
  }

  /** Tries now to destroy each retired clone. Resolves after at least one attempt on each. */
  async function reclaimUsed(pool: PoolState): Promise<void> {
    await Promise.all(rows.retired(pool).map(({ id }) => reclaimer.attempt(id)));
  }

  return {
    /**
     * Leases a clone of the newest snapshot. Throws `unknown-template`, `wait-timeout`, `draining`, and on abort the
     * signal's reason.
     */
    take(template: TemplateName, request: TakeRequest): Promise<CloneRecord> {
      const pool = pools.get(template);
      if (!pool || !isOpen(pool)) return Promise.reject(new IsolateError("unknown-template", { template, near: [] }));
      return waiting.take(pool, request);
    },
    /**
     * Resolves when the pool is as requested: all clones ready and fresh, and none in excess. Throws the error that
     * prevents it.
     */
    async setPool(settings: PoolSettings, replaceAll: boolean): Promise<PoolStatus> {
      const pool = openPool(settings);
      if (pool.removing) throw new IsolateError("unknown-template", { template: settings.template, near: [] });
      if (replaceAll) pool.freshAfter = nanoseconds();
      stopPause(pool);
      succeeded(pool);
      await lookForSnapshot(pool);
      const full = until(pool, () => {
        if (pool.lastError && pool.failures > 0 && settings.size > 0) throw pool.lastError;
        const now = rows.facts(pool);
        const { create, reclaim } = plan(now);
        return (
          create === 0 && reclaim.length === 0 && now.creating === 0 && now.ready.every((clone) => isFresh(clone, pool))
        );
      });
      await Promise.all([full, reclaimUsed(pool)]);
      return describe(pool);
    },
    /** `isolate -r TEMPLATE N -s`. */
    async reclaim(template: TemplateName): Promise<PoolStatus | undefined> {
      const pool = pools.get(template);
      if (!pool) return undefined;
      await reclaimUsed(pool);
      return describe(pool);
    },
    /** Starts or continues to keep a pool, without waiting for it. */
    keep(settings: PoolSettings): void {
      background.run(lookForSnapshot(openPool(settings)));
    },
    /** Stops keeping a pool: destroys its ready clones now, and the others when their leases end. */
    drop(template: TemplateName): void {
      letGo(existingOr(template));
    },
    /** The same, and resolves when each of its clones was tried. */
    async forget(template: TemplateName): Promise<PoolStatus> {
      const pool = existingOr(template);
      letGo(pool);
      await reclaimUsed(pool);
      return describe(pool);
    },
    left: rows.left,
    has(template: TemplateName): boolean {
      const pool = pools.get(template);
      return pool !== undefined && isOpen(pool);
    },
    templates: (): TemplateName[] => [...pools.values()].filter(isOpen).map(({ settings }) => settings.template),
    describe: (): PoolStatus[] =>
      [...pools.values()]
        .filter((pool) => !pool.dropped || rows.all(pool).length > 0)
        .map(describe)
        .sort((a, b) => (a.template < b.template ? -1 : 1)),
    /** Call when the template may have a new snapshot. */
    changed(template: TemplateName): Promise<void> {
      const pool = pools.get(template);
      return pool ? lookForSnapshot(pool) : Promise.resolve();
    },
    /** Call when the lessee has released the clone. */
    release(id: CloneId): void {
      const clone = store.apply(id, "release");
      reclaimer.retire(clone);
      released(clone.template);
    },
    reclaimer,
    /** Destroys all clones of a template, and forgets its pool after `remove` succeeds. Throws `template-busy`. */
    async removePool(template: TemplateName, remove: () => Promise<void>): Promise<void> {
      const pool = existingOr(template);
      const inUse = rows.all(pool).filter((clone) => clone.lease !== null).length + pool.waiters.size;
      if (inUse > 0) throw new IsolateError("template-busy", { template, clones: inUse });
      pool.removing = true;
      try {
        tend(pool);
        await until(pool, () => {
          const stuck = rows.all(pool).find((clone) => clone.error);
          if (stuck) throw new IsolateError("clone-busy", { clone: stuck.id, cause: stuck.error ?? "" });
          return rows.all(pool).length === 0;
        });
        await remove();
        stopPause(pool);
        pools.delete(template);
        making.forget(pool);
      } catch (error) {
        pool.removing = false;
        tend(pool);
        throw error;
      }
    },
    /** Starts no new work; resolves when current work is done, or after `patience` milliseconds. */
    async stop(patience: number): Promise<void> {
      stopped = true;
      for (const pool of pools.values()) {
        stopPause(pool);
        for (const waiter of [...pool.waiters]) waiter.refuse(new IsolateError("draining", {}));
        tellWatchers(pool);
      }
      reclaimer.stop();
      await background.settled(patience);
    },
  };
}
