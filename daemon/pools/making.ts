/** Makes clones, a limited number at a time in all pools together: first records the intent, then acts. */
import { setImmediate } from "node:timers/promises";
import { toIsolateError } from "../../protocol/errors.ts";
import { makeCloneId } from "../../protocol/names.ts";
import type { Store } from "../records/store.ts";
import type { Storage } from "../storage/storage.ts";
import type { Background } from "./background.ts";
import { type PoolState, succeeded } from "./pool.ts";
import type { Reclaimer } from "./reclaimer.ts";

export interface MakingOptions {
  readonly store: Store;
  readonly storage: Storage;
  readonly boot: string;
  readonly background: Background;
  readonly reclaimer: Reclaimer;
  /** The most clones that are made at the same time, in all pools together. */
  readonly concurrency: () => number;
  /** Returns nanoseconds since 1970, never the same value twice. */
  readonly nanoseconds: () => bigint;
  readonly failed: (pool: PoolState, error: unknown) => void;
  /** Called if the snapshot is gone. */
  readonly lookForSnapshot: (pool: PoolState) => void;
  readonly tend: (pool: PoolState) => void;
}

export function createMaking(options: MakingOptions) {
  const { store, storage, boot, background, reclaimer, concurrency, nanoseconds, failed, lookForSnapshot, tend } =
    options;
  /** Pools that have to wait before they may make more clones. */
  const starved = new Set<PoolState>();
  let underWay = 0;
  let rounds = Promise.resolve();

  /**
   * One clone in each round of the event loop. Otherwise, if a storage makes clones without a pause and a caller waits
   * for each, all would be made and granted before any other work.
   */
  function nextRound(): Promise<void> {
    rounds = rounds.then(() => setImmediate());
    return rounds;
  }

  /** Called when a clone is made or has failed: another pool may now make one. Pools with waiters come first. */
  function tendAfterMaking(pool: PoolState): void {
    starved.add(pool);
    const waitingFirst = [...starved].sort((a, b) => b.waiters.size - a.waiters.size);
    for (const one of waitingFirst) if (one === pool || underWay < concurrency()) tend(one);
  }

  function start(pool: PoolState): void {
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
    underWay++;
    const make = async () => {
      await nextRound();
      return storage.of(template).clone(snapshot, id);
    };
    background.run(
      make()
        .then(
          () => {
            store.apply(id, "created");
            succeeded(pool);
          },
          (error: unknown) => {
            reclaimer.retire(store.apply(id, "reclaim", { error: toIsolateError(error).message }));
            failed(pool, error);
            if (toIsolateError(error).code === "no-snapshot") lookForSnapshot(pool);
          },
        )
        .finally(() => {
          pool.creating--;
          underWay--;
          tendAfterMaking(pool);
        }),
    );
  }

  return {
    /** Starts to make `count` clones, or as many as may be made now; the others follow. */
    make(pool: PoolState, count: number): void {
      let begun = 0;
      for (; begun < count && underWay < concurrency(); begun++) start(pool);
      starved.delete(pool);
      if (begun < count) starved.add(pool);
    },
    forget: (pool: PoolState): void => void starved.delete(pool),
  };
}
