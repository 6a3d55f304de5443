/** Runs zfs(8). */
import { CommandError, run } from "../../linux/child-process.ts";
import { poolOf } from "./parse.ts";
import { unusableNames } from "./refusal.ts";

/** Returns the command's standard output. Throws `CommandError`. */
export type Zfs = (args: readonly string[]) => Promise<string>;

export const zfs: Zfs = (args) => run("zfs", args);

/** The storage pools of this host, suspended ones included: a zfs(8) command over all of them leaves those out silently. */
export async function poolNames(): Promise<readonly string[]> {
  return (await run("zpool", ["list", "-H", "-o", "name"])).split("\n").filter((name) => name !== "");
}

/** The same question, asked once for all who ask meanwhile, that fails after `patience` milliseconds. */
export function inTime<T>(ask: () => Promise<T>, what: string, patience: number): () => Promise<T> {
  let asked: Promise<T> | undefined;
  return async () => {
    asked ??= ask().finally(() => {
      asked = undefined;
    });
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${what} does not answer`)), patience);
    });
    return Promise.race([asked, tooLate]).finally(() => clearTimeout(timer));
  };
}

/** What the storage pools said, and why some of them said nothing. */
export interface Answers {
  readonly output: string;
  readonly silent: ReadonlyMap<string, unknown>;
  /** Pools. */
  readonly asked: number;
}

/** One command for each storage pool, at the same time: a suspended or slow pool keeps nobody from the others' answers. */
export async function ofEachPool(pools: readonly string[], ask: (pool: string) => Promise<string>): Promise<Answers> {
  const silent = new Map<string, unknown>();
  const outputs = await Promise.all(
    pools.map((pool) =>
      ask(pool).catch((error: unknown) => {
        silent.set(pool, error);
        return "";
      }),
    ),
  );
  return { output: outputs.join(""), silent, asked: pools.length };
}

/** Throws what the first pool failed with when none has answered. */
export function someAnswered(answers: Answers): Answers {
  if (answers.silent.size > 0 && answers.silent.size === answers.asked) throw [...answers.silent.values()][0];
  return answers;
}

/**
 * A command over several datasets, those that are missing left out. zfs(8) fails when one of them is missing and keeps
 * quiet about which rows are complete, so the command is run again without those it complained about.
 */
export function ofThoseThere<Name extends string>(
  zfs: Zfs,
  command: (names: readonly Name[]) => string[],
  names: readonly Name[],
): Promise<Answers> {
  const ofPool = new Map<string, Name[]>();
  for (const name of names) ofPool.set(poolOf(name), [...(ofPool.get(poolOf(name)) ?? []), name]);
  return ofEachPool([...ofPool.keys()], (pool) => inOnePool(zfs, command, ofPool.get(pool) ?? []));
}

async function inOnePool<Name extends string>(
  zfs: Zfs,
  command: (names: readonly Name[]) => string[],
  names: readonly Name[],
): Promise<string> {
  let left = names;
  while (left.length > 0) {
    try {
      return await zfs(command(left));
    } catch (error) {
      const unusable = error instanceof CommandError ? unusableNames(error.stderr) : new Set();
      const usable = left.filter((name) => !unusable.has(name));
      if (usable.length === left.length) throw error;
      left = usable;
    }
  }
  return "";
}

/** A storage pool that keeps a command waiting. */
export class SilentPool extends Error {
  constructor(pool: string) {
    super(`the storage pool '${pool}' does not answer; see 'zpool status ${pool}'`);
    this.name = "SilentPool";
  }
}

/**
 * The same zfs(8), where a command that only reads fails after `patience` milliseconds. Its process may be one that cannot
 * be killed, so while it is there nothing more is read from that pool: one pool never gathers processes.
 */
export function answeringInTime(zfs: Zfs, patience: number): Zfs {
  const late = new Map<string, number>();
  const count = (pool: string, change: number): void => {
    const now = (late.get(pool) ?? 0) + change;
    if (now > 0) late.set(pool, now);
    else late.delete(pool);
  };
  return async (args) => {
    const pool = poolOf(args.at(-1) ?? "");
    if (args[0] !== "list" && args[0] !== "get") return zfs(args);
    if (late.has(pool)) throw new SilentPool(pool);
    const answer = zfs(args);
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        count(pool, 1);
        answer.catch(() => undefined).finally(() => count(pool, -1));
        reject(new SilentPool(pool));
      }, patience);
    });
    return Promise.race([answer, tooLate]).finally(() => clearTimeout(timer));
  };
}
