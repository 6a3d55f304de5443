/** The costs of a daemon or a process, from the kernel and the daemon's log. */
import { readdirSync, readFileSync } from "node:fs";
import type { World } from "../support/world.ts";

/** Ticks per second in /proc: proc_pid_stat(5). */
const ticks = 100;

/** Resident and proportional memory, in megabytes. */
export function memoryOf(pid: number): { resident: number; proportional: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const megabytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+([0-9]+) kB$`, "m").exec(text)?.[1]) / 1024;
  return { resident: megabytes("Rss"), proportional: megabytes("Pss") };
}

/** Seconds of processor time of a process and the children that it has waited for. */
export function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  // utime, stime, cutime, cstime: fields 14 to 17; two fields precede the end of the name
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / ticks;
}

/** Seconds that all processors of this machine have been busy. */
export function busyTime(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] =
    readFileSync("/proc/stat", "utf8").split("\n")[0]?.trim().split(/\s+/).slice(1).map(Number) ?? [];
  return (user + nice + system + irq + softirq) / ticks;
}

export function descendants(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return []; // it has ended in the meantime
  }
}

export const nameOf = (pid: number): string => readFileSync(`/proc/${pid}/comm`, "utf8").trim();

/** Milliseconds from each lease's request to its answer, from the log after that length; only that user's, if given. */
export function leaseTimes(world: World, since = 0, uid?: number): number[] {
  return world
    .log()
    .slice(since)
    .split("\n")
    .filter((line) => uid === undefined || line.includes(`"uid":${uid},`))
    .flatMap((line) => /"ms":([0-9.]+),"msg":"leased"/.exec(line)?.[1] ?? [])
    .map(Number);
}
