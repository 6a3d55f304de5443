/** Shares the threads that Node has for calls that block among the storage pools. */

/** Acts when it is that pool's turn. */
export type Turn = <T>(pool: string, act: () => Promise<T>) => Promise<T>;

/** Threads that are left to everything else. */
const threadsLeft = 2;
/** A pool that hangs takes all that it is given, so this many are left to the other pools. */
const otherPools = 4;

export function turnsOfThreads(threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4)): Turn {
  const most = Math.max(1, threads - threadsLeft);
  return createTurns(most, Math.max(1, most - otherPools));
}

/** Lets so many act at a time, and so many of one pool; the others in the order of their coming. */
export function createTurns(most: number, mostOfOne: number): Turn {
  const waiting: { readonly pool: string; readonly go: () => void }[] = [];
  const busy = new Map<string, number>();
  const of = (pool: string): number => busy.get(pool) ?? 0;
  const all = (): number => [...busy.values()].reduce((sum, count) => sum + count, 0);
  const may = (pool: string): boolean => all() < most && of(pool) < mostOfOne;
  return async (pool, act) => {
    if (may(pool)) busy.set(pool, of(pool) + 1);
    else await new Promise<void>((go) => waiting.push({ pool, go }));
    try {
      return await act();
    } finally {
      busy.set(pool, of(pool) - 1);
      const next = waiting.findIndex((one) => may(one.pool));
      const [taken] = next < 0 ? [] : waiting.splice(next, 1);
      if (taken) {
        busy.set(taken.pool, of(taken.pool) + 1);
        taken.go();
      }
    }
  };
}
