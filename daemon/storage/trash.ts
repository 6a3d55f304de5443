/**
 * The directory for trees that are not yet complete, and for trees that are about to be deleted. A tree enters and
 * leaves it by one rename(2), so a crash at any instruction leaves the tree either in its place or in here. At the
 * daemon's start, nothing in here is in use.
 */
import { mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { run } from "../linux/child-process.ts";
import { renameNew } from "../linux/files.ts";

export interface TrashLog {
  warn(details: object, message: string): void;
}

export interface Trash {
  /** Makes a new empty directory whose name begins with `name`. */
  fresh(name: string): string;
  /**
   * Moves a tree in and deletes it soon, together with others: a process for each would cost more than the deletion.
   */
  bury(path: string): void;
  /** Moves a tree in, which must be on the same file system. Returns its new path. */
  take(path: string): string;
  /** Deletes a tree that `fresh` or `take` returned. */
  remove(tree: string): Promise<void>;
  /** The same, but never rejects: a failure is logged, and the next start tries again. */
  discard(tree: string): Promise<void>;
  /** Deletes everything. */
  empty(): Promise<void>;
}

/** Milliseconds that a tree waits for others, as starting rm(1) takes this process several milliseconds. */
const graveTime = 1000;

/** `directory` must exist, and only root may be able to write to it. */
export function createTrash(directory: string, log: TrashLog): Trash {
  let last = 0n;
  const place = (name: string): string => {
    const now = process.hrtime.bigint();
    last = now > last ? now : last + 1n;
    return join(directory, `${name}.${process.pid}.${last}`);
  };
  // Only rm(1) holds each directory open, follows no link and stays on the file system, however the tree changes during
  // the deletion. rm of node:fs deletes files outside if a directory is replaced meanwhile.
  const removeTrees = async (trees: readonly string[]): Promise<void> => {
    if (trees.length > 0) await run("rm", ["-rf", "--one-file-system", "--", ...trees]);
  };
  const take = (path: string): string => {
    const tree = place(basename(path));
    renameNew(path, tree);
    return tree;
  };
  let buried: string[] = [];
  const emptyGraves = (): void => {
    const trees = buried;
    buried = [];
    removeTrees(trees).catch((err: unknown) => log.warn({ err, trees }, "cannot delete trees in the trash"));
  };
  return {
    bury(path) {
      if (buried.push(take(path)) === 1) setTimeout(emptyGraves, graveTime);
    },
    take,
    fresh(name) {
      const tree = place(name);
      mkdirSync(tree, { mode: 0o700 });
      return tree;
    },
    remove: (tree) => removeTrees([tree]),
    discard: (tree) =>
      removeTrees([tree]).catch((err: unknown) => log.warn({ err, tree }, "cannot delete a tree in the trash")),
    empty: () => removeTrees(readdirSync(directory).map((entry) => join(directory, entry))),
  };
}
