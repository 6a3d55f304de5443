/** The process that holds a lease: which one it is, across a restart of the daemon too, and its end. */
import { readFileSync } from "node:fs";
import { closeDescriptor, hasErrno, pidfdEnded, pidfdOpen, pidfdSignal } from "../libc.ts";
import type { Holder } from "./store.ts";

const SIGKILL = 9;
const pollEvery = 20;

/** Kernel's id of this boot, random(4). */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Undefined when the process is gone. */
export function holderOf(pid: number): Holder | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const startTime = fields[22 - 3];
    return startTime === undefined ? undefined : { pid, startTime };
  } catch {
    return undefined;
  }
}

/** A pidfd of exactly that process, or undefined when it has ended. */
export function openHolder(holder: Holder): number | undefined {
  let pidfd: number;
  try {
    pidfd = pidfdOpen(holder.pid);
  } catch (error) {
    if (hasErrno(error, "ESRCH", "EINVAL")) return undefined;
    throw error;
  }
  // Read after the open: from here on the pid cannot be given to another without the pidfd telling.
  if (holderOf(holder.pid)?.startTime === holder.startTime && !pidfdEnded(pidfd)) return pidfd;
  closeDescriptor(pidfd);
  return undefined;
}

/** Calls back once, when the process has ended. Clear the timer that it returns to stop watching. Closes nothing. */
export function watchHolder(pidfd: number, every: number, ended: () => void): NodeJS.Timeout {
  const timer = setInterval(() => {
    if (!pidfdEnded(pidfd)) return;
    clearInterval(timer);
    ended();
  }, every);
  return timer;
}

/**
 * Sees to it that the process ends, and closes the pidfd. It is given `grace` milliseconds, because an engine that is
 * about to end by itself must be left to report its command's exit code.
 */
export function endHolder(pidfd: number, grace: number): void {
  if (pidfdEnded(pidfd)) return closeDescriptor(pidfd);
  const watch = watchHolder(pidfd, pollEvery, () => {
    clearTimeout(timer);
    closeDescriptor(pidfd);
  });
  const timer = setTimeout(() => {
    clearInterval(watch);
    pidfdSignal(pidfd, SIGKILL);
    closeDescriptor(pidfd);
  }, grace);
}
