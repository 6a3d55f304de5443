/** Work that costs the same however many ask for it: a program that is started, a file system that is asked. */

/** One run at a time; whoever asks meanwhile shares the next, so that nobody is told what was so before they asked. */
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
