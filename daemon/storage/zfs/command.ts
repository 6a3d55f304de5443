/** Runs zfs(8). */
import { CommandError, run } from "../../linux/child-process.ts";
import { unusableNames } from "./refusal.ts";

/** What the command wrote to standard output. Throws `CommandError`. */
export type Zfs = (args: readonly string[]) => Promise<string>;

export const zfs: Zfs = (args) => run("zfs", args);

/**
 * One command over several datasets. zfs(8) fails when one of them is missing and keeps quiet about which rows are
 * complete, so the command is run again without those it complained about.
 */
export async function ofThoseThere<Name extends string>(
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
