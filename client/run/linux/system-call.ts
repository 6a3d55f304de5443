/** How a runtime makes Linux's system calls. Each program brings its own: `starter/native.ts`, `full/ffi.ts`. */

/** A string becomes a C string, a list of them a null-terminated array of C strings. */
export type Argument = number | string | null | NodeJS.TypedArray | readonly string[];
/** Returns what the kernel returns: a negative result is an error number, intro(2). */
export type SystemCall = (number: number, args: readonly Argument[]) => number;
