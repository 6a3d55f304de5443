/** The process that holds a lease: which one it is, across a restart of the daemon too, and its end. */
import { fstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { closeDescriptor, hasErrno, peerInode, pidfdEnded, pidfdOpen, pidfdSignal, pidfdsEnded } from "../libc.ts";
import type { Holder } from "./store.ts";

const SIGKILL = 9;
const ending = createHolderWatch(20);

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

export interface HolderWatch {
  /** Calls back once, when the process has ended. Gives the way to stop watching. Closes nothing. */
  add(pidfd: number, ended: () => void): () => void;
}

/** Looks every `every` milliseconds, at all of them by one system call, and not at all while there are none. */
export function createHolderWatch(every: number): HolderWatch {
  const watched = new Map<number, () => void>();
  let timer: NodeJS.Timeout | undefined;
  function remove(pidfd: number): void {
    watched.delete(pidfd);
    if (watched.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }
  function look(): void {
    for (const pidfd of pidfdsEnded([...watched.keys()])) {
      const ended = watched.get(pidfd);
      remove(pidfd);
      ended?.();
    }
  }
  return {
    add(pidfd, ended) {
      watched.set(pidfd, ended);
      timer ??= setInterval(look, every).unref();
      return () => remove(pidfd);
    },
  };
}

/**
 * Sees to it that the process ends, and closes the pidfd. It is given `grace` milliseconds, because an engine that is
 * about to end by itself must be left to report its command's exit code.
 */
export function endHolder(pidfd: number, grace: number): void {
  if (pidfdEnded(pidfd)) {
    closeDescriptor(pidfd);
    return;
  }
  const stop = ending.add(pidfd, () => {
    clearTimeout(timer);
    closeDescriptor(pidfd);
  });
  const timer = setTimeout(() => {
    stop();
    pidfdSignal(pidfd, SIGKILL);
    closeDescriptor(pidfd);
  }, grace);
}

/**
 * Ends every process that holds the other end of a Unix socket of ours. For a lease whose holder is gone: an engine that
 * was killed while it started leaves a child that waits for it for ever, with the descriptor open.
 */
export function killOtherEnd(socket: number): number {
  const peer = peerInode(fstatSync(socket).ino);
  if (peer === undefined) return 0;
  const link = `socket:[${peer}]`;
  const holders = readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name) && hasDescriptor(name, link));
  for (const pid of holders) {
    try {
      const pidfd = pidfdOpen(Number(pid));
      // Looked at again: from the open on the pid cannot be given to another without the signal failing.
      if (hasDescriptor(pid, link)) pidfdSignal(pidfd, SIGKILL);
      closeDescriptor(pidfd);
    } catch (error) {
      if (!hasErrno(error, "ESRCH", "EINVAL")) throw error;
    }
  }
  return holders.length;
}

function hasDescriptor(pid: string, link: string): boolean {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).some((fd) => readlinkSync(`${directory}/${fd}`) === link);
  } catch {
    return false; // it has ended, or closed that descriptor meanwhile
  }
}
