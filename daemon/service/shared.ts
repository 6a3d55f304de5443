/** Shares expensive work between callers, such as a program or a query of a file system. */

/** Runs `act` one at a time. Calls during a run share the next run, so that no result is older than its call. */
export function shared<T>(act: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<T> | undefined;
  let next: Promise<T> | undefined;
  function run(): Promise<T> {
    next = undefined;
    const running = act().finally(() => {
      underWay = undefined;
    });
    underWay = running;
    return running;
  }
  return () => {
    if (!underWay && !next) return run();
    next ??= (underWay ?? Promise.resolve()).then(run, run);
    return next;
  };
}
