/**
 * A look at the processes of one user: whose they are, and what their directories and descriptors lead to. Reading all of
 * that takes a second for some thousand processes, so it is done in slices, and the daemon serves others between them. One
 * walk is under way for each user at a time; users take turns, and everybody who asks meanwhile shares the next walk.
 */
import { type Dir, opendirSync, readFileSync, readlinkSync } from "node:fs";

export interface SeenProcess {
  readonly pid: number;
  /** Real, effective, saved and file-system user id. */
  readonly uids: readonly number[];
  /** Where the working directory, the root and the first descriptors lead, as readlink(2) says. */
  readonly links: readonly string[];
}

/** Called once for each process of the user. */
export type Visit = (seen: SeenProcess) => void;

export interface ProcessSearch {
  /** Resolves when every process that the user had at the call has been visited. Rejects with what `visit` throws. */
  search(uid: number, visit: Visit): Promise<void>;
}

export interface ProcessSearchOptions {
  /** Milliseconds of work, and of rest after it. */
  readonly slice: number;
  readonly rest: number;
  /** Called for each process that is read: for tests. */
  readonly onRead?: (pid: number) => void;
}

interface Wish {
  readonly visit: Visit;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Walk {
  readonly uid: number;
  /** Served by the walk that is under way. */
  wishes: Wish[];
  /** For the walk after it. */
  next: Wish[];
  directory: Dir | undefined;
}

/** Of each process only so many descriptors are looked at: an engine has few, and nobody shall keep us busy. */
const descriptorsSeen = 64;

export function createProcessSearch({ slice, rest, onRead }: ProcessSearchOptions): ProcessSearch {
  /** By user, those whose turn comes next first. */
  const walks = new Map<number, Walk>();
  let planned = false;

  function planWork(delay: number): void {
    if (planned) return;
    planned = true;
    setTimeout(work, delay);
  }

  function work(): void {
    planned = false;
    const end = performance.now() + slice;
    while (walks.size > 0 && performance.now() < end) {
      const [walk] = walks.values();
      if (!walk) break;
      walks.delete(walk.uid);
      if (step(walk)) walks.set(walk.uid, walk);
    }
    if (walks.size > 0) planWork(rest);
  }

  /** One process further. False when nobody waits for the walk any more. */
  function step(walk: Walk): boolean {
    walk.directory ??= opendirSync("/proc", { bufferSize: 128 });
    const name = walk.directory.readSync()?.name;
    if (name !== undefined) {
      if (/^[0-9]+$/.test(name)) visit(walk, Number(name));
      return true;
    }
    walk.directory.closeSync();
    walk.directory = undefined;
    for (const { resolve } of walk.wishes) resolve();
    walk.wishes = walk.next;
    walk.next = [];
    return walk.wishes.length > 0;
  }

  function visit(walk: Walk, pid: number): void {
    onRead?.(pid);
    const uids = uidsOf(pid);
    if (uids?.[1] !== walk.uid) return;
    const seen = { pid, uids, links: linksOf(pid) };
    for (const wish of walk.wishes) {
      try {
        wish.visit(seen);
      } catch (error) {
        wish.reject(error);
      }
    }
  }

  return {
    search: (uid, visit) =>
      new Promise((resolve, reject) => {
        const wish = { visit, resolve, reject };
        const walk = walks.get(uid);
        if (walk) walk.next.push(wish);
        else walks.set(uid, { uid, wishes: [wish], next: [], directory: undefined });
        planWork(0);
      }),
  };
}

/** Undefined when the process is gone. */
export function uidsOf(pid: number): number[] | undefined {
  try {
    return /^Uid:\t(.*)$/m
      .exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]
      ?.split("\t")
      .map(Number);
  } catch {
    return undefined;
  }
}

/** Only what the links say: following one could wait for ever, on a file system of the user's own. */
export function linksOf(pid: number): string[] {
  return ["cwd", "root", ...firstDescriptors(pid)].flatMap((name) => {
    try {
      return [readlinkSync(`/proc/${pid}/${name}`)];
    } catch {
      return []; // it has ended, or closed that descriptor meanwhile
    }
  });
}

/** A directory is read in pieces of that size, so that a process with half a million of them costs no more. */
function firstDescriptors(pid: number): string[] {
  let directory: Dir;
  try {
    directory = opendirSync(`/proc/${pid}/fd`, { bufferSize: descriptorsSeen });
  } catch {
    return [];
  }
  try {
    const entries = Array.from({ length: descriptorsSeen }, () => directory.readSync());
    return entries.flatMap((entry) => (entry ? [`fd/${entry.name}`] : []));
  } catch {
    return [];
  } finally {
    directory.closeSync();
  }
}
