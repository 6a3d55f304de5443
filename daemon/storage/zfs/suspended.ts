/** Whether a storage pool is suspended, zpoolprops(7) `failmode`. */
import { readFileSync } from "node:fs";
import { IsolateError } from "../../../protocol/errors.ts";
import { poolOf } from "./parse.ts";

/**
 * Refuses what would change the dataset's pool while that is suspended. The end of a mount would wait there in a way that
 * nothing ends, not even the end of this process.
 */
export function refuseSuspended(dataset: string, doing: string): void {
  const pool = poolOf(dataset);
  if (stateOf(pool) !== "SUSPENDED") return;
  const cause = `the storage pool '${pool}' is suspended; see 'zpool status ${pool}'`;
  throw new IsolateError("storage-failed", { doing, cause });
}

/** As the module tells it, where it does. */
function stateOf(pool: string): string | undefined {
  try {
    return readFileSync(`/proc/spl/kstat/zfs/${pool}/state`, "utf8").trim();
  } catch {
    return undefined;
  }
}
