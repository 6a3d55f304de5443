/** The state of one pool between two events. */
import type { IsolateError } from "../../protocol/errors.ts";
import type { CloneId, SnapshotName, TemplateName } from "../../protocol/names.ts";
import type { Pool } from "../../protocol/schema.ts";
import type { CloneRecord, LeaseRecord, Store } from "../records/store.ts";
import type { IdMap } from "../storage/driver.ts";
import { isFresh, type PoolFacts } from "./plan.ts";

export interface PoolSettings {
  readonly template: TemplateName;
  /** The number of clones to keep ready. */
  readonly size: number;
  /** The glob that usable snapshots match. */
  readonly snapshots?: string | undefined;
}

/** The state of a pool that is known without asking the storage. */
export type PoolStatus = Omit<Pool, "bytes" | "written" | "countedAt">;

export interface TakeRequest {
  /** The caller's uid, by which waiting callers take turns. */
  readonly account: number;
  /** The id map of the view. */
  readonly to: IdMap;
  /** The same caller will use the same map next time, so it is worth preparing a mount. */
  readonly lasting: boolean;
  /** Returns the lease row for the chosen clone. */
  readonly lease: (id: CloneId) => LeaseRecord;
  /** Milliseconds. */
  readonly wait: number;
  readonly signal: AbortSignal;
  /** Called with one sentence for each new reason to wait. */
  readonly onWait: (reason: string) => void;
}

export interface Waiter {
  readonly request: TakeRequest;
  readonly grant: (record: CloneRecord) => void;
  readonly refuse: (error: unknown) => void;
}

export interface PoolState {
  settings: PoolSettings;
  latest: SnapshotName | null;
  freshAfter: bigint;
  creating: number;
  /** The number of consecutive failures to make a clone or to find the snapshot. */
  failures: number;
  lastError: IsolateError | null;
  /** When that was, by performance.now(). */
  failedAt: number;
  /** The last look for the newest snapshot failed; `missing`: since the storage has no such template. */
  lookFailed: boolean;
  missing: boolean;
  retry: NodeJS.Timeout | null;
  refill: NodeJS.Timeout | null;
  removing: boolean;
  /** Set if the configuration no longer names the pool. */
  dropped: boolean;
  /** The current search for the newest snapshot, and whether another must follow. */
  looking: Promise<void> | null;
  lookAgain: boolean;
  /** In order of arrival. */
  readonly waiters: Set<Waiter>;
  /** When each waiting account was last served, as a running count of all grants. */
  readonly served: Map<number, number>;
  /** Called after each event of the pool. */
  readonly watchers: Set<() => void>;
}

export function newPool(settings: PoolSettings): PoolState {
  return {
    settings,
    latest: null,
    freshAfter: 0n,
    creating: 0,
    failures: 0,
    lastError: null,
    failedAt: 0,
    lookFailed: false,
    missing: false,
    retry: null,
    refill: null,
    removing: false,
    dropped: false,
    looking: null,
    lookAgain: false,
    waiters: new Set(),
    served: new Map(),
    watchers: new Set(),
  };
}

export const isOpen = (pool: PoolState): boolean => !pool.removing && !pool.dropped;

/** Cancels the pause after a failure. */
export function stopPause(pool: PoolState): void {
  if (pool.retry) clearTimeout(pool.retry);
  pool.retry = null;
}

export function succeeded(pool: PoolState): void {
  Object.assign(pool, { failures: 0, lastError: null });
}

export function tellWatchers(pool: PoolState): void {
  for (const watcher of [...pool.watchers]) watcher();
}

/** Queries about a pool, answered from the rows. */
export function createPoolRows(store: Store) {
  const inState = (pool: PoolState, state: "ready" | "retired"): CloneRecord[] => [
    ...store.clonesIn(pool.settings.template, state).values(),
  ];
  const ready = (pool: PoolState) => inState(pool, "ready");
  return {
    all: (pool: PoolState): CloneRecord[] => [...store.clonesOf(pool.settings.template)],
    ready,
    retired: (pool: PoolState) => inState(pool, "retired"),
    /** Why each clone is still there that could not be destroyed; of those in use a moment ago only where `all` is wanted. */
    left: (template: TemplateName, all: boolean): string[] =>
      [...store.clonesIn(template, "retired").values()].flatMap(({ error, blocked = false }) =>
        error !== null && (all || blocked) ? error : [],
      ),
    /** Ready clones of the newest snapshot, the oldest clone first. */
    fresh: (pool: PoolState) => ready(pool).filter((clone) => isFresh(clone, pool)),
    /** The input of `plan`. */
    facts(pool: PoolState): PoolFacts {
      const { latest, freshAfter, creating, settings, waiters, retry } = pool;
      // Ready clones of a template that was destroyed or renamed are of no use, and in the way of those who destroy it.
      const size = isOpen(pool) && !pool.missing ? settings.size : 0;
      return {
        size,
        waiting: waiters.size,
        latest,
        freshAfter,
        creating,
        backingOff: retry !== null,
        failing: pool.failures > 0,
        ready: ready(pool),
      };
    },
    describe(pool: PoolState, driver: string): PoolStatus {
      const { template, size } = pool.settings;
      const retired = inState(pool, "retired");
      const failures = retired.filter((clone) => clone.error !== null);
      return {
        template,
        driver,
        missing: pool.missing,
        snapshot: pool.latest,
        size,
        creating: store.clonesIn(template, "creating").size,
        ready: store.clonesIn(template, "ready").size,
        leased: store.clonesIn(template, "leased").size,
        retired: retired.length,
        failed: failures.length,
        lastError: pool.lastError?.message ?? failures[0]?.error ?? null,
      };
    },
  };
}

export type PoolRows = ReturnType<typeof createPoolRows>;
