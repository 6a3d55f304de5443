/**
 * One way to name a function of libc, and the two runtimes' ways to call it: `bun:ffi` in the executable, koffi when the
 * client runs on Node. Functions are bound when they are first called: a run needs some of them, a listing none.
 */

/** `bytes`: a buffer or null. `text`: a C string or null. `texts`: a null-terminated array of C strings. */
export type Parameter = "i32" | "i64" | "bytes" | "text" | "texts";
export interface Signature {
  readonly symbol: string;
  readonly parameters: readonly Parameter[];
  readonly result: "i32" | "i64";
}
export type Argument = number | string | null | Uint8Array | readonly string[];
export type Call = (...args: Argument[]) => number;

export interface Binder {
  bind(signature: Signature): Call;
  /** Of the last call; asked for at once after it. */
  errno(): number;
}

const library = "libc.so.6";

export async function loadBinder(): Promise<Binder> {
  return process.versions.bun === undefined ? await koffiBinder() : await bunBinder();
}

async function bunBinder(): Promise<Binder> {
  const { dlopen, ptr, read } = await import("bun:ffi");
  const types = { i32: "i32", i64: "i64", bytes: "ptr", text: "ptr", texts: "ptr" } as const;
  const cString = (text: string): Uint8Array => Buffer.from(`${text}\0`);
  const location = dlopen(library, { __errno_location: { args: [], returns: "ptr" } }).symbols.__errno_location;

  const convert = (argument: Argument, keep: Uint8Array[]): unknown => {
    if (typeof argument === "string") return cString(argument);
    if (!Array.isArray(argument)) return argument;
    const strings = (argument as readonly string[]).map(cString);
    keep.push(...strings);
    return new BigUint64Array([...strings.map((bytes) => BigInt(ptr(bytes))), 0n]);
  };

  return {
    bind({ symbol, parameters, result }) {
      const returns = result === "i64" ? "i64_fast" : "i32"; // "i64" alone would give a bigint
      const call = dlopen(library, { [symbol]: { args: parameters.map((name) => types[name]), returns } }).symbols[
        symbol
      ];
      if (!call) throw new Error(`${library} has no ${symbol}`);
      return (...args) => {
        const keep: Uint8Array[] = []; // what an array of pointers points to must outlive the call
        const given = args.map((argument) => convert(argument, keep));
        const value = Number(call(...given));
        keep.length = 0;
        return value;
      };
    },
    errno: () => read.i32(location?.() ?? 0),
  };
}

async function koffiBinder(): Promise<Binder> {
  const { default: koffi } = await import("koffi");
  const types = { i32: "int", i64: "int64_t", bytes: "void *", text: "const char *", texts: "const char **" } as const;
  const libc = koffi.load(library);
  return {
    bind({ symbol, parameters, result }) {
      const call = libc.func(
        symbol,
        types[result],
        parameters.map((name) => types[name]),
      );
      return (...args) =>
        Number(call(...args.map((argument) => (Array.isArray(argument) ? [...argument, null] : argument))));
    },
    errno: () => koffi.errno(),
  };
}
