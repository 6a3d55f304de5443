/** Tracks background work, so that a stop can wait for it and every failure is logged. */
import type { Logger } from "pino";

export interface Background {
  /** Starts the work; its errors are logged. */
  run(work: Promise<unknown>): void;
  /** Resolves when all work is done, or after `patience` milliseconds. */
  settled(patience: number): Promise<void>;
}

export function createBackground(log: Logger): Background {
  const underWay = new Set<Promise<unknown>>();
  return {
    run(work) {
      underWay.add(work);
      work
        .finally(() => underWay.delete(work))
        .catch((error: unknown) => log.error({ err: error }, "background work failed"));
    },
    async settled(patience) {
      const timeout = new Promise<void>((resolve) => setTimeout(resolve, patience).unref());
      await Promise.race([Promise.allSettled([...underWay]), timeout]);
    },
  };
}
