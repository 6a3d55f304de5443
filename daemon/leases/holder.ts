/** Identifies the process that holds a lease, also across a restart of the daemon, and watches for its end. */
import { fstatSync, readFileSync } from "node:fs";
import { closeDescriptor, hasErrno } from "../linux/call.ts";
import { peerInode } from "../linux/peers.ts";
import { linksOf, type ProcessSearch, uidsOf } from "../linux/process-search.ts";
import { pidfdEnded, pidfdKill, pidfdOpen, pidfdsEnded } from "../linux/processes.ts";
import type { Holder } from "../records/store.ts";

const ending = createHolderWatch(20);

/** Returns the kernel's boot id, random(4). */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Returns `undefined` if the process is gone. */
export function holderOf(pid: number): Holder | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses, which may itself contain spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const startTime = fields[22 - 3];
    return startTime === undefined ? undefined : { pid, startTime };
  } catch {
    return undefined;
  }
}

/** Returns a pidfd of exactly that process; `undefined` if it has ended. */
export function openHolder(holder: Holder): number | undefined {
  let pidfd: number;
  try {
    pidfd = pidfdOpen(holder.pid);
  } catch (error) {
    if (hasErrno(error, "ESRCH", "EINVAL")) return undefined;
    throw error;
  }
  // Read after the open: from here on, the pidfd shows if the pid is reused.
  if (holderOf(holder.pid)?.startTime === holder.startTime && !pidfdEnded(pidfd)) return pidfd;
  closeDescriptor(pidfd);
  return undefined;
}

export interface HolderWatch {
  /** Calls `ended` once when the process has ended. Returns a function that stops watching. Closes nothing. */
  add(pidfd: number, ended: () => void): () => void;
}

/** Checks all processes with one system call every `every` milliseconds; idle while there are none. */
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

/** Processes that must end, by pid and start time: one process may have had many leases. */
const toEnd = new Set<string>();

/**
 * Makes sure that the process ends, and closes the pidfd. Kills it only after `grace` milliseconds, because an engine
 * that is about to exit must be able to report its command's exit code.
 */
export function endHolder({ pid, startTime }: Holder, pidfd: number, grace: number): void {
  const key = `${pid} ${startTime}`;
  if (toEnd.has(key) || pidfdEnded(pidfd)) {
    closeDescriptor(pidfd);
    return;
  }
  toEnd.add(key);
  const close = (): void => {
    toEnd.delete(key);
    closeDescriptor(pidfd);
  };
  const stop = ending.add(pidfd, () => {
    clearTimeout(timer);
    close();
  });
  const timer = setTimeout(() => {
    stop();
    pidfdKill(pidfd);
    close();
  }, grace);
}

/**
 * Kills every process of a user that holds the other end of our Unix socket, and returns their number. For a lease
 * whose holder is gone: an engine that is killed during its start leaves a child that waits for it forever, with the
 * descriptor open. Only that user's processes: others may have been sent the descriptor without knowing (unix(7),
 * SCM_RIGHTS).
 */
export async function killOtherEnd(socket: number, uid: number, { search }: ProcessSearch): Promise<number> {
  const link = otherEnd(socket);
  let ended = 0;
  if (link === undefined) return ended;
  await search(uid, ({ pid, links }) => {
    const pidfd = links.includes(link) ? openIfHolding(link, pid, uid) : undefined;
    if (pidfd === undefined) return;
    pidfdKill(pidfd);
    closeDescriptor(pidfd);
    ended++;
  });
  return ended;
}

export interface NamedProcess extends Holder {
  /** The process's own name, proc_pid_comm(5). */
  readonly name: string;
}

/** As many as a person would read. */
const mostUsers = 20;

/**
 * Finds at most twenty processes of a user whose working directory, root or open files are below a path on the host.
 * Adds them to `found` one by one, for callers that do not wait for the end.
 */
export async function usersOf(
  path: string,
  uid: number,
  found: NamedProcess[],
  { search }: ProcessSearch,
): Promise<void> {
  await search(uid, ({ pid, links }) => {
    if (found.length >= mostUsers || !links.some((link) => `${link}/`.startsWith(`${path}/`))) return;
    const holder = holderOf(pid);
    if (holder) found.push({ ...holder, name: nameOf(pid) });
  });
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "?"; // it has ended meanwhile
  }
}

/** Returns a pidfd of the process if it belongs to that user and holds the other end of our socket. */
export function openOtherEnd(socket: number, pid: number, uid: number): number | undefined {
  const link = otherEnd(socket);
  return link === undefined ? undefined : openIfHolding(link, pid, uid);
}

function openIfHolding(link: string, pid: number, uid: number): number | undefined {
  let pidfd: number;
  try {
    pidfd = pidfdOpen(pid);
  } catch (error) {
    if (hasErrno(error, "ESRCH", "EINVAL")) return undefined;
    throw error;
  }
  // Checked after the open: from here on, a signal fails if the pid is reused.
  if (uidsOf(pid)?.every((id) => id === uid) && linksOf(pid).includes(link)) return pidfd;
  closeDescriptor(pidfd);
  return undefined;
}

function otherEnd(socket: number): string | undefined {
  const peer = peerInode(fstatSync(socket).ino);
  return peer === undefined ? undefined : `socket:[${peer}]`;
}
