/** Makes Linux system calls: with `bun:ffi` in `isolate-client`, with koffi on Node. */
import { encodeBytes } from "../../protocol/bytes.ts";
import type { Argument, SystemCall } from "../run/linux/system-call.ts";

const library = "libc.so.6";

export async function loadSystemCall(): Promise<SystemCall> {
  return process.versions.bun === undefined ? await koffiCall() : bunCall();
}

/** One function for all calls, because each bound function is compiled at the start. */
function bunCall(): SystemCall {
  // The native part of the module `bun:ffi`.
  const { dlopen, ptr, read } = Bun.FFI;
  const { syscall, __errno_location } = dlopen(library, {
    syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64"], returns: "i64_fast" }, // "i64" would return a bigint
    __errno_location: { args: [], returns: "ptr" },
  }).symbols;
  const errno = __errno_location();
  const { i32 } = read;

  return (number, args) => {
    // The memory that pointers point to must outlive the call.
    const kept: NodeJS.TypedArray[] = [];
    const pointerTo = (bytes: NodeJS.TypedArray): number => {
      kept.push(bytes);
      return ptr(bytes);
    };
    const word = (argument: Argument | undefined): number => {
      if (typeof argument === "number") return argument;
      if (argument === undefined || argument === null) return 0;
      if (typeof argument === "string") return pointerTo(cString(argument));
      if (!Array.isArray(argument)) return pointerTo(argument as NodeJS.TypedArray);
      return pointerTo(pointers((argument as readonly string[]).map(word)));
    };
    const [a, b, c, d, e] = args;
    const result = syscall(number, word(a), word(b), word(c), word(d), word(e));
    kept.length = 0;
    return result === -1 ? -i32(errno) : result;
  };
}

function cString(text: string): Uint8Array {
  return encodeBytes(`${text}\0`);
}

/** A null-terminated array of 64-bit pointers, as halves: the first big integer of a process costs 0.25 ms. */
function pointers(values: readonly number[]): Uint32Array {
  const halves = new Uint32Array((values.length + 1) * 2);
  for (const [index, value] of values.entries()) {
    halves[index * 2] = value; // modulo 2 ** 32
    halves[index * 2 + 1] = value / 2 ** 32;
  }
  return halves;
}

async function koffiCall(): Promise<SystemCall> {
  const { default: koffi } = await import("koffi");
  const syscall = koffi.load(library).func("long syscall(long number, ...)");
  const typed = (argument: Argument): unknown[] => {
    if (typeof argument === "number") return ["long", argument];
    if (typeof argument === "string") return ["const char *", argument];
    return Array.isArray(argument) ? ["const char **", [...argument, null]] : ["void *", argument];
  };
  return (number, args) => {
    const result = Number(syscall(number, ...args.flatMap(typed)));
    return result === -1 ? -koffi.errno() : result;
  };
}
