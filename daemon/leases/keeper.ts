/**
 * Keeps every pool full of fresh clones and destroys the used ones: asks `plan.ts` what to do whenever something has
 * happened, writes the intent, and acts. Nothing here waits for a timer but failures.
 */
import { rmdirSync } from "node:fs";
import type { Logger } from "pino";
import { IsolateError, toIsolateError } from "../protocol/errors.ts";
import { type CloneId, makeCloneId, type SnapshotName, type TemplateName } from "../protocol/names.ts";
import type { Pool } from "../protocol/schema.ts";
import type { Storage } from "../storage/storage.ts";
import { destroyBackoff, isFresh, plan, refillBackoff } from "./plan.ts";
import type { CloneRecord, LeaseRecord, Store } from "./store.ts";

export interface PoolSettings {
  readonly template: TemplateName;
  /** Clones to keep ready. */
  readonly size: number;
  /** Glob that usable snapshots fit. */
  readonly snapshots?: string | undefined;
}

export interface TakeRequest {
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
  /** The look for the newest snapshot that is under way, and whether another is wanted after it. */
  looking: Promise<void> | null;
  lookAgain: boolean;
  readonly waiters: Waiter[];
  readonly watchers: Set<() => void>;
}

export interface KeeperOptions {
  readonly store: Store;
  readonly storage: Storage;
  readonly boot: string;
  /** Clones that are made at once, in all pools together. */
  readonly concurrency: number;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly log: Logger;
}

const destroyConcurrency = 8;
/** Milliseconds from a lease to the making of the clone that takes its place, while others are ready. */
const refillDelay = 10;

export type Keeper = ReturnType<typeof createKeeper>;

export function createKeeper({ store, storage, boot, concurrency, clock, log }: KeeperOptions) {
  const pools = new Map<TemplateName, PoolState>();
  const attempts = new Map<CloneId, number>();
  const destroyLater = new Map<CloneId, NodeJS.Timeout>();
  const destroyQueue: CloneId[] = [];
  const underWay = new Set<Promise<void>>();
  let creatingNow = 0;
  let destroyingNow = 0;
  let stopped = false;
  let lastNanoseconds = 0n;

  function nanoseconds(): bigint {
    const now = BigInt(clock()) * 1_000_000n;
    lastNanoseconds = now > lastNanoseconds ? now : lastNanoseconds + 1n;
    return lastNanoseconds;
  }

  function background(work: Promise<void>): void {
    underWay.add(work);
    work
      .finally(() => underWay.delete(work))
      .catch((error: unknown) => log.error({ err: error }, "background work failed"));
  }

  const clonesOf = (pool: PoolState) => [...store.clonesOf(pool.settings.template)];
  const readyOf = (pool: PoolState) => clonesOf(pool).filter((clone) => clone.state === "ready");

  function facts(pool: PoolState) {
    const { latest, freshAfter, creating, settings, waiters, retry } = pool;
    const size = pool.removing ? 0 : settings.size;
    const waiting = waiters.length;
    return { size, waiting, latest, freshAfter, creating, backingOff: retry !== null, ready: readyOf(pool) };
  }

  /** Looks at one pool and acts. Cheap, and safe to call at any time. */
  function tend(pool: PoolState): void {
    if (stopped) return;
    serve(pool);
    const { create, reclaim } = plan(facts(pool));
    for (const id of reclaim) reclaimClone(id);
    for (let count = 0; count < create && creatingNow < concurrency; count++) startClone(pool);
    for (const watcher of [...pool.watchers]) watcher();
  }

  /** Those that somebody waits for come first. */
  function tendAll(): void {
    const waitingFirst = [...pools.values()].sort((a, b) => b.waiters.length - a.waiters.length);
    for (const pool of waitingFirst) tend(pool);
  }

  // --- Giving clones out.

  function freshOf(pool: PoolState): CloneRecord | undefined {
    let oldest: CloneRecord | undefined;
    for (const clone of store.clonesOf(pool.settings.template)) {
      if (clone.state === "ready" && isFresh(clone, pool) && (!oldest || clone.made < oldest.made)) oldest = clone;
    }
    return oldest;
  }

  function serve(pool: PoolState): void {
    while (pool.waiters.length > 0) {
      const clone = freshOf(pool);
      if (!clone) return;
      const waiter = pool.waiters.shift();
      if (!waiter) return;
      try {
        waiter.grant(store.apply(clone.id, "lease", { lease: waiter.request.lease(clone.id) }));
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
    if (!pool || pool.removing) return Promise.reject(new IsolateError("unknown-template", { template, near: [] }));
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        request.signal.removeEventListener("abort", abort);
        const index = pool.waiters.indexOf(waiter);
        if (index >= 0) pool.waiters.splice(index, 1);
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
      const timer = setTimeout(() => {
        const seconds = Math.round(request.wait / 1000);
        waiter.refuse(new IsolateError("wait-timeout", { template, seconds, reason: whyWait(pool) }, pool.lastError));
      }, request.wait);
      request.signal.addEventListener("abort", abort);
      pool.waiters.push(waiter);
      serve(pool);
      if (pool.waiters.length === 0) return refillSoon(pool);
      tend(pool);
      if (pool.waiters.includes(waiter)) request.onWait(whyWait(pool));
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
    background(
      make()
        .then(
          () => {
            store.apply(id, "created");
            pool.failures = 0;
            pool.lastError = null;
          },
          (error: unknown) => {
            retire(store.apply(id, "reclaim", { error: toIsolateError(error).message }));
            failed(pool, error);
            if (toIsolateError(error).code === "no-snapshot") lookForSnapshot(pool);
          },
        )
        .finally(() => {
          pool.creating--;
          creatingNow--;
          tendAll();
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
    background(pool.looking);
    return pool.looking;
  }

  // --- Destroying clones.

  function reclaimClone(id: CloneId): void {
    retire(store.apply(id, "reclaim"));
  }

  /** For a clone that has just been retired, or that a crash left half made or half destroyed. */
  function retire({ id }: Pick<CloneRecord, "id">): void {
    attempts.set(id, 0);
    destroyQueue.push(id);
    destroyNext();
  }

  function destroyNext(): void {
    while (destroyingNow < destroyConcurrency && !stopped) {
      const id = destroyQueue.shift();
      if (id === undefined) return;
      const record = store.clone(id);
      if (record?.state !== "retired") continue;
      destroyingNow++;
      background(
        destroy(record).finally(() => {
          destroyingNow--;
          destroyNext();
          const pool = pools.get(record.template);
          if (pool) tend(pool);
        }),
      );
    }
  }

  async function destroy({ id, template, lease }: CloneRecord): Promise<void> {
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
      store.failed(id, error.message);
      // Busy is ordinary: a sandbox takes a moment to end, or two seconds when its command ignores SIGTERM.
      log[error.code === "clone-busy" ? "debug" : "warn"]({ clone: id, err: error }, "cannot destroy the clone yet");
      if (stopped) return;
      const later = setTimeout(() => destroyAgain(id), destroyBackoff(attempt));
      later.unref();
      destroyLater.set(id, later);
    }
  }

  function destroyAgain(id: CloneId): void {
    clearTimeout(destroyLater.get(id));
    destroyLater.delete(id);
    destroyQueue.push(id);
    destroyNext();
  }

  function removeEmptyDirectory(path: string): void {
    try {
      rmdirSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }

  // --- Pools.

  function openPool(settings: PoolSettings): PoolState {
    const known = pools.get(settings.template);
    if (known) {
      known.settings = settings;
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
      looking: null,
      lookAgain: false,
      waiters: [],
      watchers: new Set(),
    };
    pools.set(settings.template, pool);
    return pool;
  }

  function describe(pool: PoolState): Pool {
    const count = { creating: 0, ready: 0, leased: 0, retired: 0, failed: 0 };
    for (const clone of store.clonesOf(pool.settings.template)) {
      if (clone.state === "gone") continue;
      count[clone.state]++;
      if (clone.state === "retired" && clone.error) count.failed++;
    }
    const { template, size } = pool.settings;
    const lastError = pool.lastError?.message ?? clonesOf(pool).find((clone) => clone.error)?.error ?? null;
    return { template, driver: storage.nameFor(template), snapshot: pool.latest, size, ...count, lastError };
  }

  /** Resolves when `done` says so, asked whenever something has happened to the pool; rejects when it throws. */
  function until(pool: PoolState, done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const watcher = (): void => {
        try {
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
    const used = clonesOf(pool).filter((clone) => clone.state === "retired");
    const before = new Map(used.map(({ id }) => [id, attempts.get(id) ?? 0]));
    for (const { id } of used) if (destroyLater.has(id)) destroyAgain(id);
    await until(pool, () =>
      used.every(
        ({ id }) => !store.clone(id) || ((attempts.get(id) ?? 0) > (before.get(id) ?? 0) && destroyLater.has(id)),
      ),
    );
  }

  /** Makes the pool as wanted and resolves when it is: all ready, fresh, none too many. Throws what prevents it. */
  async function setPool(settings: PoolSettings, replaceAll: boolean): Promise<Pool> {
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
    async reclaim(template: TemplateName): Promise<Pool | undefined> {
      const pool = pools.get(template);
      if (!pool) return undefined;
      await reclaimUsed(pool);
      return describe(pool);
    },
    /** Begins or goes on to keep a pool, without waiting for it. */
    keep(settings: PoolSettings): void {
      background(lookForSnapshot(openPool(settings)));
    },
    has: (template: TemplateName): boolean => pools.has(template) && !pools.get(template)?.removing,
    templates: (): TemplateName[] => [...pools.keys()],
    describe: (): Pool[] => [...pools.values()].map(describe).sort((a, b) => (a.template < b.template ? -1 : 1)),
    /** The template may have a new snapshot. */
    changed(template: TemplateName): Promise<void> {
      const pool = pools.get(template);
      return pool ? lookForSnapshot(pool) : Promise.resolve();
    },
    /** The lessee gave the clone up. */
    release(id: CloneId): void {
      retire(store.apply(id, "release"));
    },
    retire,
    /** Destroys all clones of a template and forgets its pool when `remove` has succeeded. Throws `template-busy`. */
    async removePool(template: TemplateName, remove: () => Promise<void>): Promise<void> {
      const pool = openPool(pools.get(template)?.settings ?? { template, size: 0 });
      const inUse = clonesOf(pool).filter((clone) => clone.lease !== null).length + pool.waiters.length;
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
      } catch (error) {
        pool.removing = false;
        tend(pool);
        throw error;
      }
    },
    /**
     * After a start: finishes or undoes what a crash left, from the rows alone. A clone of an earlier boot is never
     * given out, because the host may have lost the row that says that it was.
     */
    reconcileRows(): void {
      for (const clone of [...store.clones()]) {
        const sameBoot = clone.boot === boot;
        if (clone.state === "creating" || (clone.state === "ready" && !sameBoot)) reclaimClone(clone.id);
        else if (clone.state === "retired") retire(clone);
      }
    },
    /** Then compares with what the storages hold: clones of ours without a row go, rows without a clone too. */
    async reconcileStorage(): Promise<void> {
      const readyBefore = [...store.clones()].filter((clone) => clone.state === "ready");
      for (const driver of storage.drivers()) {
        const found = await driver.list();
        for (const { id, template, snapshot } of found) {
          if (store.clone(id)) continue;
          log.info({ clone: id }, "destroying a clone that no row knows");
          store.creating({ id, template, snapshot, boot, made: 0n });
          reclaimClone(id);
        }
        const present = new Set(found.map(({ id }) => id));
        for (const { id, template } of readyBefore) {
          if (storage.nameFor(template) !== driver.name || present.has(id) || store.clone(id)?.state !== "ready")
            continue;
          log.warn({ clone: id }, "a ready clone is gone from the storage");
          reclaimClone(id);
        }
      }
    },
    /** No new work; resolves when what is under way is done, within `patience` milliseconds. */
    async stop(patience: number): Promise<void> {
      stopped = true;
      for (const pool of pools.values()) {
        if (pool.retry) clearTimeout(pool.retry);
        for (const waiter of [...pool.waiters]) waiter.refuse(new IsolateError("draining", {}));
      }
      for (const later of destroyLater.values()) clearTimeout(later);
      const timeout = new Promise<void>((resolve) => setTimeout(resolve, patience).unref());
      await Promise.race([Promise.allSettled([...underWay]), timeout]);
    },
  };
}
