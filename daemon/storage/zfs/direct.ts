/** Makes and destroys clones with libzfs_core. Simultaneous destructions share one transaction group. */
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
  /** Returns `false` if the clone was not made; zfs(8) can tell why. */
  clone(request: CloneRequest): Promise<boolean>;
  /** Never rejects. */
  destroy(clone: MarkedClone): Promise<Destroyed>;
}

/** The most clones in one program: while it runs, the pool accepts no other change. */
const atMost = 50;

interface Wanted {
  readonly clone: MarkedClone;
  readonly done: (outcome: Destroyed) => void;
}

export function createDirect(library: ZfsLibrary): Direct {
  const queues = new Map<string, Wanted[]>();

  async function work(pool: string, queue: Wanted[]): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve)); // collects simultaneous calls
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
