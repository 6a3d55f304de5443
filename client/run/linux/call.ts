/** How a system call is named and how it fails. */

import { errnoName } from "./errno.ts";
import type { Argument, SystemCall } from "./system-call.ts";

/** The calls' numbers on the architectures that we run on: syscalls(2), and the tables of the kernel's own tree. */
export type Numbers = Readonly<Record<string, { readonly x64: number; readonly arm64: number }>>;

/** From 424 on the numbers are the same everywhere. */
export const everywhere = (number: number) => ({ x64: number, arm64: number });

export class SystemCallError extends Error {
  readonly call: string;
  /** `ENOENT` and so on. */
  readonly errno: string;
  constructor(call: string, errno: string) {
    super(`${call}: ${errno}`);
    this.name = "SystemCallError";
    this.call = call;
    this.errno = errno;
  }
}

export interface Kernel<Name extends string> {
  /** Gives what the call gave, a negative error number included. */
  attempt(name: Name, ...args: Argument[]): number;
  /** Throws where that is an error. */
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

/** Of a result that is an error. */
export function failure(call: string, result: number): SystemCallError {
  return new SystemCallError(call, errnoName(-result));
}
