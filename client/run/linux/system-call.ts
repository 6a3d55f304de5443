/**
 * How a runtime makes Linux system calls. Each program has its own implementation: `starter/native.ts`, `full/ffi.ts`.
 */

/** A string becomes a C string; a list of strings becomes a null-terminated array of C strings. */
export type Argument = number | string | null | NodeJS.TypedArray | readonly string[];
/** Returns the kernel's result; a negative result is an error number, intro(2). */
export type SystemCall = (number: number, args: readonly Argument[]) => number;
