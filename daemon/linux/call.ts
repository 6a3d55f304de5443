/**
 * The daemon's native calls, for features of Linux that Node lacks. This file binds them; the files beside it name
 * them. Each throws `SystemCallError` with the names of the call and of the errno.
 */
import { constants as osConstants } from "node:os";
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const errnoNames = new Map(Object.entries(osConstants.errno).map(([name, number]) => [number, name]));

export class SystemCallError extends Error {
  readonly call: string;
  /** `ENOENT` and so on. */
  readonly errno: string;
  constructor(call: string, errno: string, what: string) {
    super(`${call}: ${errno}${what ? `: ${what}` : ""}`);
    this.name = "SystemCallError";
    this.call = call;
    this.errno = errno;
  }
}

export function hasErrno(thrown: unknown, ...names: string[]): boolean {
  return thrown instanceof SystemCallError && names.includes(thrown.errno);
}

/** Returns `result` unless it is negative. Otherwise throws `SystemCallError` with the call's errno. */
export function checked(call: string, result: number, what = ""): number {
  if (result >= 0) return result;
  const number = koffi.errno();
  throw new SystemCallError(call, errnoNames.get(number) ?? `errno ${number}`, what);
}

/** Binds a function of libc.so.6 by its C types. */
export const func = (name: string, result: string, parameters: string[]) => libc.func(name, result, parameters);

/** Whether this thread's last failed call found no data yet: read(2), EAGAIN. */
export const wouldBlock = (): boolean => koffi.errno() === osConstants.errno.EAGAIN;

/** Numbers of system calls. From 424 on they are the same on every architecture: syscalls(2). */
export const nr = {
  pidfdSendSignal: 424,
  openTree: 428,
  moveMount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  pidfdOpen: 434,
  mountSetattr: 442,
} as const;

/** syscall(2) with numeric arguments only. */
export const syscallInts = func("syscall", "long", ["long", "long", "long", "long", "long", "long"]);

/** "Relative to the working directory", for calls that take a descriptor of a directory: openat(2). */
export const AT_FDCWD = -100;

const closeCall = func("close", "int", ["int"]);

export function closeDescriptor(fd: number): void {
  closeCall(fd);
}

/** For the last descriptor of a detached mount: closing it takes the kernel half a millisecond (synchronize_rcu). */
export function closeInBackground(fd: number): Promise<void> {
  return new Promise((resolve) => closeCall.async(fd, () => resolve()));
}
