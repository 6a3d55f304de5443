/**
 * Searches the processes of one user: their ids, and the targets of their directories and descriptors. Reading them
 * takes a second for some thousand processes, so it runs in slices, between which the daemon serves others. Each user
 * has at most one walk at a time, and users take turns. Calls during a walk share the next walk.
 */
import { type Dir, opendirSync, readFileSync, readlinkSync } from "node:fs";

export interface SeenProcess {
  readonly pid: number;
  /** The real, effective, saved and file-system user ids. */
  readonly uids: readonly number[];
  /** The targets of the working directory, the root and the first descriptors, from readlink(2). */
  readonly links: readonly string[];
}

/** Called once for each process of the user. */
export type Visit = (seen: SeenProcess) => void;

export interface ProcessSearch {
  /** Resolves when every process that the user had at the call has been visited. Rejects with the error of `visit`. */
  search(uid: number, visit: Visit): Promise<void>;
}

export interface ProcessSearchOptions {
  /** Milliseconds of work, and of rest after it. */
  readonly slice: number;
  readonly rest: number;
  /** Called for each process that is read. For tests. */
  readonly onRead?: (pid: number) => void;
}

interface Wish {
  readonly visit: Visit;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Walk {
  readonly uid: number;
  /** Callers that the current walk serves. */
  wishes: Wish[];
  /** Callers for the next walk. */
  next: Wish[];
  directory: Dir | undefined;
}

/** The number of descriptors checked per process: an engine has few, and no user may keep the daemon busy. */
const descriptorsSeen = 64;

export function createProcessSearch({ slice, rest, onRead }: ProcessSearchOptions): ProcessSearch {
  /** By user; the next in turn is first. */
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
      try {
        if (step(walk)) walks.set(walk.uid, walk);
      } catch (error) {
        giveUp(walk, error);
      }
    }
    if (walks.size > 0) planWork(rest);
  }

  /** For a failure such as a lack of descriptors: those who wait are told, and the next search begins anew. */
  function giveUp(walk: Walk, error: unknown): void {
    try {
      walk.directory?.closeSync();
    } catch {
      // closed already
    }
    for (const { reject } of [...walk.wishes, ...walk.next]) reject(error);
  }

  /** Visits the next process. Returns `false` if nobody waits for the walk anymore. */
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

/** Returns `undefined` if the process is gone. */
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

/** Returns only the texts of the links: following one could block forever on a file system of the user. */
export function linksOf(pid: number): string[] {
  return ["cwd", "root", ...firstDescriptors(pid)].flatMap((name) => {
    try {
      return [readlinkSync(`/proc/${pid}/${name}`)];
    } catch {
      return []; // it has ended, or closed that descriptor meanwhile
    }
  });
}

/** Reads only the first piece of the directory, so that a process with half a million descriptors costs no more. */
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
