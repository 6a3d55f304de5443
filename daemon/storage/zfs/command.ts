/** Runs zfs(8). */
import { CommandError, run } from "../../linux/child-process.ts";
import { unusableNames } from "./refusal.ts";

/** Returns the command's standard output. Throws `CommandError`. */
export type Zfs = (args: readonly string[]) => Promise<string>;

export const zfs: Zfs = (args) => run("zfs", args);

/**
 * Runs one command for several datasets. If one of them is missing, zfs(8) fails and does not say which rows are
 * complete, so the command is repeated without the datasets in its error message.
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
