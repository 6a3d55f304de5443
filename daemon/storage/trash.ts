/**
 * The directory where trees are made before they are whole and where they go before they are deleted. Both ways lead
 * through one rename(2), so that a crash at any instruction leaves a tree either in its place or in here; whatever is in
 * here at the start is nobody's.
 */
import { mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { run } from "../linux/child-process.ts";
import { renameNew } from "../linux/files.ts";

export interface TrashLog {
  warn(details: object, message: string): void;
}

export interface Trash {
  /** A new empty directory. Its name begins with `name`. */
  fresh(name: string): string;
  /** Moves a tree in and deletes it soon, with all others of that moment: a process for each would cost more than it does. */
  bury(path: string): void;
  /** Moves a tree in. It must be on the same file system. Gives where it is now. */
  take(path: string): string;
  /** Deletes a tree that `fresh` or `take` gave. */
  remove(tree: string): Promise<void>;
  /** The same, never rejecting: what cannot be deleted now is logged, and tried again at the next start. */
  discard(tree: string): Promise<void>;
  /** Deletes everything. */
  empty(): Promise<void>;
}

/** Milliseconds that a tree may wait for others: to start rm(1) takes this process some milliseconds. */
const graveTime = 1000;

/** `directory` exists and only root can write in it. */
export function createTrash(directory: string, log: TrashLog): Trash {
  let last = 0n;
  const place = (name: string): string => {
    const now = process.hrtime.bigint();
    last = now > last ? now : last + 1n;
    return join(directory, `${name}.${process.pid}.${last}`);
  };
  // Of all the ways to delete a tree rm(1) is the one that holds each directory open, follows no link and stays on the
  // file system, however the tree is changed meanwhile; rm of node:fs deletes outside when a directory is exchanged.
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
    removeTrees(trees).catch((err: unknown) => log.warn({ err, trees }, "cannot delete what is in the trash"));
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
      removeTrees([tree]).catch((err: unknown) => log.warn({ err, tree }, "cannot delete what is in the trash")),
    empty: () => removeTrees(readdirSync(directory).map((entry) => join(directory, entry))),
  };
}
