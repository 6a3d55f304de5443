/** The numbers and the errors of system calls. */

import { errnoName } from "./errno.ts";
import type { Argument, SystemCall } from "./system-call.ts";

/** System call numbers by architecture: syscalls(2), and the tables of the kernel's source. */
export type Numbers = Readonly<Record<string, { readonly x64: number; readonly arm64: number }>>;

/** From 424 on, the numbers are the same on all architectures. */
export const everywhere = (number: number) => ({ x64: number, arm64: number });

export class SystemCallError extends Error {
  readonly call: string;
  /** The error's name, such as `ENOENT`. */
  readonly errno: string;
  constructor(call: string, errno: string) {
    super(`${call}: ${errno}`);
    this.name = "SystemCallError";
    this.call = call;
    this.errno = errno;
  }
}

export interface Kernel<Name extends string> {
  /** Returns the call's result; a negative result is an error number. */
  attempt(name: Name, ...args: Argument[]): number;
  /** Returns the call's result. Throws `SystemCallError`. */
  checked(name: Name, ...args: Argument[]): number;
}

export function createKernel<N extends Numbers>(numbers: N, call: SystemCall, architecture: string) {
  const column = architecture === "arm64" ? "arm64" : "x64";
  const attempt = (name: keyof N & string, ...args: Argument[]): number => {
    const number = numbers[name]?.[column];
    if (number === undefined) throw new Error(`no number of ${name} is known`);
    return call(number, args);
  };
  const kernel: Kernel<keyof N & string> = {
    attempt,
    checked(name, ...args) {
      const result = attempt(name, ...args);
      if (result < 0) throw failure(name, result);
      return result;
    },
  };
  return kernel;
}

/** Returns the error for a negative result. */
export function failure(call: string, result: number): SystemCallError {
  return new SystemCallError(call, errnoName(-result));
}
