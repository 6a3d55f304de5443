/** How a function of libc is called and how it fails. */
import type { Argument, Binder, Parameter, Signature } from "./ffi.ts";

export type Signatures = Readonly<Record<string, Signature>>;

export const int = (symbol: string, ...parameters: Parameter[]): Signature => ({ symbol, parameters, result: "i32" });
export const long = (symbol: string, ...parameters: Parameter[]): Signature => ({ symbol, parameters, result: "i64" });

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
  /** Gives what the function gave, -1 included. */
  attempt(name: Name, ...args: Argument[]): number;
  /** Throws when the result says that the call failed. */
  checked(call: string, result: number): number;
  /** Of the call just made. */
  failure(call: string): SystemCallError;
}

export function createKernel<S extends Signatures>(signatures: S, binder: Binder): Kernel<keyof S & string> {
  const calls = binder.bind(signatures);
  const failure = (call: string): SystemCallError => {
    const number = binder.errno();
    const numbers = Object.entries(process.getBuiltinModule("node:os").constants.errno);
    return new SystemCallError(call, numbers.find(([, value]) => value === number)?.[0] ?? `errno ${number}`);
  };
  return {
    attempt: (name, ...args) => calls(name, args),
    checked: (call, result) => {
      if (result < 0) throw failure(call);
      return result;
    },
    failure,
  };
}
