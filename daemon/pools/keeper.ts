/**
 * Keeps every pool full of fresh clones and gives them out: asks `plan.ts` what to do whenever something has happened,
 * writes the intent, and acts.
 */
import type { Logger } from "pino";
import { IsolateError, toIsolateError } from "../../protocol/errors.ts";
import { type CloneId, makeCloneId, type SnapshotName, type TemplateName } from "../../protocol/names.ts";
import type { Pool } from "../../protocol/schema.ts";
import type { CloneRecord, LeaseRecord, Store } from "../records/store.ts";
import type { IdMap } from "../storage/driver.ts";
import type { Storage } from "../storage/storage.ts";
import { createWork } from "./background.ts";
import { isFresh, plan, refillBackoff } from "./plan.ts";
import { createAhead } from "./prepare.ts";
import { createReclaimer } from "./reclaimer.ts";

export interface PoolSettings {
  readonly template: TemplateName;
  /** Clones to keep ready. */
  readonly size: number;
  /** Glob that usable snapshots fit. */
  readonly snapshots?: string | undefined;
}

/** What is known of a pool without looking at the storage. */
export type PoolStatus = Omit<Pool, "bytes" | "written" | "counted">;

export interface TakeRequest {
  /** Whose ids the view will have. */
  readonly to: IdMap;
  /** Who comes again will have the same map. */
  readonly lasting: boolean;
  /** The row that the clone gets, once it is known which it is. */
  readonly lease: (id: CloneId) => LeaseRecord;
  /** Milliseconds. */
  readonly wait: number;
  readonly signal: AbortSignal;
  /** Called with one sentence whenever there is a new reason to wait. */
  readonly onWait: (reason: string) => void;
}

interface Waiter {
  readonly request: TakeRequest;
  readonly grant: (record: CloneRecord) => void;
  readonly refuse: (error: unknown) => void;
}

interface PoolState {
  settings: PoolSettings;
  latest: SnapshotName | null;
  freshAfter: bigint;
  creating: number;
  /** Failures to make a clone or to find the snapshot, in a row. */
  failures: number;
  lastError: IsolateError | null;
  retry: NodeJS.Timeout | null;
  refill: NodeJS.Timeout | null;
  removing: boolean;
  /** The configuration names it no more. */
  dropped: boolean;
  /** The look for the newest snapshot that is under way, and whether another is wanted after it. */
  looking: Promise<void> | null;
  lookAgain: boolean;
  /** The first come is the first served. */
  readonly waiters: Set<Waiter>;
  readonly watchers: Set<() => void>;
}

export interface KeeperOptions {
  readonly store: Store;
  readonly storage: Storage;
  readonly boot: string;
  /** Clones that are made at once, in all pools together. */
  readonly concurrency: () => number;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Called whenever a lease of the template has ended. */
  readonly released: (template: TemplateName) => void;
  readonly log: Logger;
}

/** Milliseconds from a lease to the making of the clone that takes its place, while others are ready. */
const refillDelay = 10;

export type Keeper = ReturnType<typeof createKeeper>;

export function createKeeper({ store, storage, boot, concurrency, clock, released, log }: KeeperOptions) {
  const pools = new Map<TemplateName, PoolState>();
  const work = createWork(log);
  const attempted = (template: TemplateName): void => {
    const pool = pools.get(template);
    if (pool) tend(pool);
  };
  const ahead = createAhead({ storage, work, fresh: freshOf, log });
  const reclaimer = createReclaimer({ store, storage, work, attempted, log });
  /** Pools that would make more clones than may be made at once. */
  const starved = new Set<PoolState>();
  let creatingNow = 0;
  let stopped = false;
  let lastNanoseconds = 0n;

  function nanoseconds(): bigint {
    const now = BigInt(clock()) * 1_000_000n;
    lastNanoseconds = now > lastNanoseconds ? now : lastNanoseconds + 1n;
    return lastNanoseconds;
  }

  const isOpen = (pool: PoolState): boolean => !pool.removing && !pool.dropped;
  const clonesOf = (pool: PoolState) => [...store.clonesOf(pool.settings.template)];
  const retiredOf = (pool: PoolState) => [...store.clonesIn(pool.settings.template, "retired").values()];
  const readyOf = (pool: PoolState) => [...store.clonesIn(pool.settings.template, "ready").values()];

  function facts(pool: PoolState) {
    const { latest, freshAfter, creating, settings, waiters, retry } = pool;
    const size = isOpen(pool) ? settings.size : 0;
    const waiting = waiters.size;
    return { size, waiting, latest, freshAfter, creating, backingOff: retry !== null, ready: readyOf(pool) };
  }

  /** Looks at one pool and acts. Cheap, and safe to call at any time: it is called by timers too, so it never throws. */
  function tend(pool: PoolState): void {
    if (stopped) return;
    try {
      act(pool);
    } catch (error) {
      log.error({ template: pool.settings.template, err: error }, "cannot tend the pool");
    }
  }

  function act(pool: PoolState): void {
    serve(pool);
    const { create, reclaim } = plan(facts(pool));
    for (const id of reclaim) reclaimer.retire(store.apply(id, "reclaim"));
    let count = 0;
    for (; count < create && creatingNow < concurrency(); count++) startClone(pool);
    starved.delete(pool);
    if (count < create) starved.add(pool);
    ahead.prepare(pool.settings.template);
    for (const watcher of [...pool.watchers]) watcher();
  }

  /** A clone of this pool is made, or not: others may make one now. Those that somebody waits for come first. */
  function tendAfterMaking(pool: PoolState): void {
    starved.add(pool);
    const waitingFirst = [...starved].sort((a, b) => b.waiters.size - a.waiters.size);
    for (const one of waitingFirst) if (one === pool || creatingNow < concurrency()) tend(one);
  }

  // --- Giving clones out.

  /** The first made come first. */
  function freshOf(template: TemplateName): CloneRecord[] {
    const pool = pools.get(template);
    if (!pool || stopped) return [];
    return readyOf(pool).filter((clone) => isFresh(clone, pool));
  }

  function serve(pool: PoolState): void {
    for (const waiter of pool.waiters) {
      const clone = ahead.choose(freshOf(pool.settings.template), waiter.request.to);
      if (!clone) return;
      pool.waiters.delete(waiter);
      try {
        waiter.grant(store.apply(clone.id, "lease", { lease: waiter.request.lease(clone.id) }));
        if (waiter.request.lasting) ahead.leased(pool.settings.template, waiter.request.to);
      } catch (error) {
        waiter.refuse(error);
      }
    }
  }

  /** The lessee's start comes first: making the next clone would take the processor from it. */
  function refillSoon(pool: PoolState): void {
    if (pool.refill) return;
    pool.refill = setTimeout(() => {
      pool.refill = null;
      tend(pool);
    }, refillDelay);
    pool.refill.unref();
  }

  function whyWait(pool: PoolState): string {
    if (pool.lastError) return pool.lastError.message;
    if (pool.latest === null) return "the newest snapshot is being looked up";
    return "the pool is empty and a clone is being made";
  }

  /** A clone of the newest snapshot, leased. Throws `unknown-template`, `wait-timeout`, `draining`; aborted: the signal's reason. */
  function take(template: TemplateName, request: TakeRequest): Promise<CloneRecord> {
    const pool = pools.get(template);
    if (!pool || !isOpen(pool)) return Promise.reject(new IsolateError("unknown-template", { template, near: [] }));
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const settle = (): void => {
        clearTimeout(timer);
        request.signal.removeEventListener("abort", abort);
        pool.waiters.delete(waiter);
      };
      const waiter: Waiter = {
        request,
        grant(record) {
          settle();
          resolve(record);
        },
        refuse(error) {
          settle();
          reject(error);
        },
      };
      const abort = (): void => waiter.refuse(request.signal.reason);
      pool.waiters.add(waiter);
      serve(pool);
      if (!pool.waiters.has(waiter)) return refillSoon(pool);
      timer = setTimeout(() => {
        const seconds = Math.round(request.wait / 1000);
        waiter.refuse(new IsolateError("wait-timeout", { template, seconds, reason: whyWait(pool) }, pool.lastError));
      }, request.wait);
      request.signal.addEventListener("abort", abort);
      tend(pool);
      if (pool.waiters.has(waiter)) request.onWait(whyWait(pool));
    });
  }

  // --- Making clones.

  function startClone(pool: PoolState): void {
    const snapshot = pool.latest;
    if (snapshot === null) return;
    const { template } = pool.settings;
    const made = nanoseconds();
    const id = makeCloneId(template, made);
    try {
      store.creating({ id, template, snapshot, boot, made });
    } catch (error) {
      failed(pool, error);
      return;
    }
    pool.creating++;
    creatingNow++;
    const make = async () => storage.of(template).clone(snapshot, id);
    work.run(
      make()
        .then(
          () => {
            store.apply(id, "created");
            pool.failures = 0;
            pool.lastError = null;
          },
          (error: unknown) => {
            reclaimer.retire(store.apply(id, "reclaim", { error: toIsolateError(error).message }));
            failed(pool, error);
            if (toIsolateError(error).code === "no-snapshot") lookForSnapshot(pool);
          },
        )
        .finally(() => {
          pool.creating--;
          creatingNow--;
          tendAfterMaking(pool);
        }),
    );
  }

  function failed(pool: PoolState, thrown: unknown): void {
    const error = toIsolateError(thrown);
    pool.failures++;
    pool.lastError = error;
    const delay = refillBackoff(pool.failures);
    log.warn({ template: pool.settings.template, err: error, retryInMs: delay }, "cannot refill the pool");
    if (pool.retry) clearTimeout(pool.retry);
    pool.retry = setTimeout(() => {
      pool.retry = null;
      lookForSnapshot(pool);
    }, delay);
    pool.retry.unref();
    for (const waiter of pool.waiters) waiter.request.onWait(error.message);
    for (const watcher of [...pool.watchers]) watcher();
  }

  function lookForSnapshot(pool: PoolState): Promise<void> {
    if (pool.looking) {
      pool.lookAgain = true;
      return pool.looking;
    }
    const look = async (): Promise<void> => {
      do {
        pool.lookAgain = false;
        try {
          const { template, snapshots } = pool.settings;
          const latest = await storage.of(template).latest(template, snapshots);
          if (latest !== pool.latest) log.info({ template, snapshot: latest }, "clones are made of this snapshot");
          pool.latest = latest;
          if (pool.failures === 0) pool.lastError = null;
        } catch (error) {
          const { code } = toIsolateError(error);
          if (code === "no-snapshot" || code === "unknown-template") pool.latest = null;
          if (!pool.removing) failed(pool, error);
        }
      } while (pool.lookAgain && !stopped);
    };
    pool.looking = look().finally(() => {
      pool.looking = null;
      tend(pool);
    });
    work.run(pool.looking);
    return pool.looking;
  }

  // --- Pools.

  function openPool(settings: PoolSettings): PoolState {
    const known = pools.get(settings.template);
    if (known) {
      known.settings = settings;
      known.dropped = false;
      return known;
    }
    const pool: PoolState = {
      settings,
      latest: null,
      freshAfter: 0n,
      creating: 0,
      failures: 0,
      lastError: null,
      retry: null,
      refill: null,
      removing: false,
      dropped: false,
      looking: null,
      lookAgain: false,
      waiters: new Set(),
      watchers: new Set(),
    };
    pools.set(settings.template, pool);
    return pool;
  }

  function describe(pool: PoolState): PoolStatus {
    const { template, size } = pool.settings;
    const retired = retiredOf(pool);
    const failures = retired.filter((clone) => clone.error !== null);
    return {
      template,
      driver: storage.nameFor(template),
      snapshot: pool.latest,
      size,
      creating: store.clonesIn(template, "creating").size,
      ready: store.clonesIn(template, "ready").size,
      leased: store.clonesIn(template, "leased").size,
      retired: retired.length,
      failed: failures.length,
      lastError: pool.lastError?.message ?? failures[0]?.error ?? null,
    };
  }

  /** Resolves when `done` says so, asked whenever something has happened to the pool; rejects when it throws. */
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

  /** Each retired clone is tried now, and once at least before this resolves. */
  async function reclaimUsed(pool: PoolState): Promise<void> {
    await Promise.all(retiredOf(pool).map(({ id }) => reclaimer.attempt(id)));
  }

  /** Makes the pool as wanted and resolves when it is: all ready, fresh, none too many. Throws what prevents it. */
  async function setPool(settings: PoolSettings, replaceAll: boolean): Promise<PoolStatus> {
    const pool = openPool(settings);
    if (pool.removing) throw new IsolateError("unknown-template", { template: settings.template, near: [] });
    if (replaceAll) pool.freshAfter = nanoseconds();
    if (pool.retry) clearTimeout(pool.retry);
    Object.assign(pool, { retry: null, failures: 0, lastError: null });
    await lookForSnapshot(pool);
    const full = until(pool, () => {
      if (pool.lastError && pool.failures > 0) throw pool.lastError;
      const now = facts(pool);
      const { create, reclaim } = plan(now);
      return (
        create === 0 && reclaim.length === 0 && now.creating === 0 && now.ready.every((clone) => isFresh(clone, pool))
      );
    });
    await Promise.all([full, reclaimUsed(pool)]);
    return describe(pool);
  }

  return {
    take,
    setPool,
    /** `isolate -r TEMPLATE N -s`. */
    async reclaim(template: TemplateName): Promise<PoolStatus | undefined> {
      const pool = pools.get(template);
      if (!pool) return undefined;
      await reclaimUsed(pool);
      return describe(pool);
    },
    /** Begins or goes on to keep a pool, without waiting for it. */
    keep(settings: PoolSettings): void {
      work.run(lookForSnapshot(openPool(settings)));
    },
    /** Lets go of a pool: its ready clones are destroyed, and what is in use when it ends. */
    drop(template: TemplateName): void {
      const pool = openPool(pools.get(template)?.settings ?? { template, size: 0 });
      pool.dropped = true;
      tend(pool);
    },
    has(template: TemplateName): boolean {
      const pool = pools.get(template);
      return pool !== undefined && isOpen(pool);
    },
    templates: (): TemplateName[] => [...pools.values()].filter(isOpen).map(({ settings }) => settings.template),
    describe: (): PoolStatus[] =>
      [...pools.values()]
        .filter((pool) => !pool.dropped || clonesOf(pool).length > 0)
        .map(describe)
        .sort((a, b) => (a.template < b.template ? -1 : 1)),
    /** The template may have a new snapshot. */
    changed(template: TemplateName): Promise<void> {
      const pool = pools.get(template);
      return pool ? lookForSnapshot(pool) : Promise.resolve();
    },
    /** The lessee gave the clone up. */
    release(id: CloneId): void {
      const clone = store.apply(id, "release");
      reclaimer.retire(clone);
      released(clone.template);
    },
    reclaimer,
    /** Destroys all clones of a template and forgets its pool when `remove` has succeeded. Throws `template-busy`. */
    async removePool(template: TemplateName, remove: () => Promise<void>): Promise<void> {
      const pool = openPool(pools.get(template)?.settings ?? { template, size: 0 });
      const inUse = clonesOf(pool).filter((clone) => clone.lease !== null).length + pool.waiters.size;
      if (inUse > 0) throw new IsolateError("template-busy", { template, clones: inUse });
      pool.removing = true;
      try {
        tend(pool);
        await until(pool, () => {
          const stuck = clonesOf(pool).find((clone) => clone.error);
          if (stuck) throw new IsolateError("clone-busy", { clone: stuck.id, cause: stuck.error ?? "" });
          return clonesOf(pool).length === 0;
        });
        await remove();
        if (pool.retry) clearTimeout(pool.retry);
        pools.delete(template);
        starved.delete(pool);
      } catch (error) {
        pool.removing = false;
        tend(pool);
        throw error;
      }
    },
    /** No new work; resolves when what is under way is done, within `patience` milliseconds. */
    async stop(patience: number): Promise<void> {
      stopped = true;
      for (const pool of pools.values()) {
        if (pool.retry) clearTimeout(pool.retry);
        for (const waiter of [...pool.waiters]) waiter.refuse(new IsolateError("draining", {}));
        for (const watcher of [...pool.watchers]) watcher();
      }
      reclaimer.stop();
      await work.settled(patience);
    },
  };
}
