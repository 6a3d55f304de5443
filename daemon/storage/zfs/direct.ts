/** Makes and destroys clones by libzfs_core. Clones that are wanted gone at one moment go in one transaction group. */
import type { CloneRequest } from "./args.ts";
import {
  type Destroyed,
  destroyArguments,
  destroyMarked,
  directProperties,
  type MarkedClone,
  parseDestroyed,
} from "./direct-args.ts";
import type { ZfsLibrary } from "./library.ts";

export interface Direct {
  /** False where it was not made: zfs(8) says why. */
  clone(request: CloneRequest): Promise<boolean>;
  /** Never rejects. */
  destroy(clone: MarkedClone): Promise<Destroyed>;
}

/** Clones in one program: while it runs the pool takes no other change. */
const atMost = 50;

interface Wanted {
  readonly clone: MarkedClone;
  readonly done: (outcome: Destroyed) => void;
}

export function createDirect(library: ZfsLibrary): Direct {
  const queues = new Map<string, Wanted[]>();

  async function work(pool: string, queue: Wanted[]): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve)); // those of the same moment
    while (queue.length > 0) {
      const batch = queue.splice(0, atMost);
      const outcomes = await library
        .program(pool, destroyMarked, destroyArguments(batch.map(({ clone }) => clone)))
        .then(parseDestroyed, () => new Map<string, Destroyed>());
      for (const { clone, done } of batch) done(outcomes.get(clone.dataset) ?? "failed");
    }
    queues.delete(pool);
  }

  return {
    async clone(request) {
      const properties = directProperties(request);
      return properties !== undefined && (await library.clone(request.dataset, request.from, properties)) === 0;
    },
    destroy: (clone) =>
      new Promise((done) => {
        const pool = clone.dataset.split("/")[0] ?? "";
        const queue = queues.get(pool) ?? [];
        queue.push({ clone, done });
        if (queues.has(pool)) return;
        queues.set(pool, queue);
        void work(pool, queue);
      }),
  };
}
