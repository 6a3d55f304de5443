/** Plans what a pool needs next: one pure function from the pool's state to actions. */
import type { CloneId, SnapshotName } from "../../protocol/names.ts";

export interface PoolFacts {
  /** Clones to keep ready. */
  readonly size: number;
  /** The number of callers that wait for a clone. */
  readonly waiting: number;
  /** The snapshot to clone from; null while there is none. */
  readonly latest: SnapshotName | null;
  /** Clones made before this (nanoseconds since 1970) count as stale: `isolate -r TEMPLATE N -f`. */
  readonly freshAfter: bigint;
  /** The number of clones that are being made from `latest`. */
  readonly creating: number;
  /** Set for a while after a failure: nothing is made. */
  readonly backingOff: boolean;
  /** The last clone could not be made: one is tried before the others. */
  readonly failing: boolean;
  readonly ready: readonly { readonly id: CloneId; readonly snapshot: SnapshotName; readonly made: bigint }[];
}

export interface PoolPlan {
  /** The number of clones to make. */
  readonly create: number;
  /** The clones to destroy, in this order. */
  readonly reclaim: readonly CloneId[];
}

export function isFresh(
  clone: { snapshot: SnapshotName; made: bigint },
  pool: Pick<PoolFacts, "latest" | "freshAfter">,
): boolean {
  return clone.snapshot === pool.latest && clone.made >= pool.freshAfter;
}

/**
 * Each fresh clone replaces one stale clone, the oldest first, so a new snapshot never suddenly empties a pool. In
 * addition, clones above the size are destroyed, unless a caller waits.
 */
export function plan(pool: PoolFacts): PoolPlan {
  const fresh = pool.ready.filter((clone) => isFresh(clone, pool));
  const missing = pool.size + pool.waiting - fresh.length - pool.creating;
  const most = pool.failing ? 1 - pool.creating : missing;
  const excess = Math.max(0, pool.ready.length - pool.size);
  return {
    create: pool.latest === null || pool.backingOff ? 0 : Math.max(0, Math.min(missing, most)),
    reclaim: excess === 0 ? [] : notWanted(pool, fresh).slice(0, excess),
  };
}

function notWanted(pool: PoolFacts, fresh: PoolFacts["ready"]): CloneId[] {
  const oldestFirst = (clones: PoolFacts["ready"]) => [...clones].sort((a, b) => (a.made < b.made ? -1 : 1));
  const stale = pool.ready.filter((clone) => !isFresh(clone, pool));
  const kept = pool.waiting > 0 ? [] : fresh;
  return [...oldestFirst(stale), ...oldestFirst(kept)].map((clone) => clone.id);
}

/**
 * Milliseconds to wait after the `failures`-th consecutive failure: doubled each time, from half a second to a minute.
 */
export function refillBackoff(failures: number): number {
  return failures === 0 ? 0 : Math.min(60_000, 500 * 2 ** Math.min(failures - 1, 10));
}

/** Milliseconds before the next attempt on a busy clone: short at first, since most sandboxes end soon. */
export function destroyBackoff(attempts: number): number {
  return Math.min(30_000, 20 * 2 ** Math.min(attempts, 12));
}
