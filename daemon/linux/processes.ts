/** Processes by descriptor: pidfd_open(2), pidfd_send_signal(2). */
import { checked, func, hasErrno, nr, syscallInts } from "./call.ts";

export function pidfdOpen(pid: number): number {
  return checked("pidfd_open", Number(syscallInts(nr.pidfdOpen, pid, 0, 0, 0, 0)), `pid ${pid}`);
}

/** Sends SIGKILL. Returns `false` if the process is gone. */
export function pidfdKill(pidfd: number): boolean {
  try {
    checked("pidfd_send_signal", Number(syscallInts(nr.pidfdSendSignal, pidfd, 9, 0, 0, 0)));
    return true;
  } catch (error) {
    if (hasErrno(error, "ESRCH")) return false;
    throw error;
  }
}

const pollFds = func("poll", "int", ["void *", "ulong", "int"]);
const POLLIN = 1;

/** Polls without waiting. Even then poll(2) fails with EINTR on a signal, such as the end of a child, signal(7). */
function pollAtOnce(entries: Buffer, count: number): number {
  for (;;) {
    try {
      return checked("poll", pollFds(entries, count, 0));
    } catch (error) {
      if (!hasErrno(error, "EINTR")) throw error;
    }
  }
}

const POLLERR = 8;
const POLLHUP = 16;
const POLLRDHUP = 0x2000;

/** Whether the peer of a connected Unix socket has closed it, or has shut down its sending side. Reads nothing. */
export function peerHasLeft(fd: number): boolean {
  const entry = Buffer.alloc(8);
  entry.writeInt32LE(fd, 0);
  entry.writeInt16LE(POLLRDHUP, 4);
  pollAtOnce(entry, 1);
  return (entry.readInt16LE(6) & (POLLERR | POLLHUP | POLLRDHUP)) !== 0;
}

/** Returns the processes that have ended, zombies included (pidfd_open(2), "poll"). One call for all. */
export function pidfdsEnded(pidfds: readonly number[]): number[] {
  const entries = Buffer.alloc(8 * pidfds.length);
  pidfds.forEach((pidfd, index) => {
    entries.writeInt32LE(pidfd, 8 * index);
    entries.writeInt16LE(POLLIN, 8 * index + 4);
  });
  if (pollAtOnce(entries, pidfds.length) === 0) return [];
  return pidfds.filter((_, index) => entries.readInt16LE(8 * index + 6) !== 0);
}

export function pidfdEnded(pidfd: number): boolean {
  return pidfdsEnded([pidfd]).length > 0;
}
