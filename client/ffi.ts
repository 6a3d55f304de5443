/** One way to name functions of libc, and the two runtimes' ways to call them: `bun:ffi` in the executable, koffi on Node. */

import { encodeBytes } from "./bytes.ts";

/** `bytes`: a buffer or null. `text`: a C string or null. `texts`: a null-terminated array of C strings. */
export type Parameter = "i32" | "i64" | "bytes" | "text" | "texts";
export interface Signature {
  readonly symbol: string;
  readonly parameters: readonly Parameter[];
  readonly result: "i32" | "i64";
}
export type Argument = number | string | null | Uint8Array | readonly string[];
/** -1 or the like when the function failed. */
export type Call = (name: string, args: readonly Argument[]) => number;

export interface Binder {
  bind(signatures: Readonly<Record<string, Signature>>): Call;
  /** Of the last call; asked for at once after it. */
  errno(): number;
}

const library = "libc.so.6";

export async function loadBinder(): Promise<Binder> {
  return process.versions.bun === undefined ? await koffiBinder() : bunBinder();
}

function bunBinder(): Binder {
  // Not by import(): that takes a millisecond more than this.
  const { dlopen, ptr, read } = process.getBuiltinModule("bun:ffi");
  const types = { i32: "i32", i64: "i64", bytes: "ptr", text: "ptr", texts: "ptr" } as const;
  const location = dlopen(library, { __errno_location: { args: [], returns: "ptr" } }).symbols.__errno_location;
  const cString = (text: string): Uint8Array => encodeBytes(`${text}\0`);

  /** What an array of pointers points to goes into `keep`: it must outlive the call. */
  const convert = (argument: Argument, keep: Uint8Array[]): unknown => {
    if (typeof argument === "string") return cString(argument);
    if (!Array.isArray(argument)) return argument;
    const strings = (argument as readonly string[]).map(cString);
    keep.push(...strings);
    return new BigUint64Array([...strings.map((bytes) => BigInt(ptr(bytes))), 0n]);
  };

  const described = ({ parameters, result }: Signature) => ({
    args: parameters.map((parameter) => types[parameter]),
    returns: result === "i64" ? "i64_fast" : "i32", // "i64" alone would give a bigint
  });

  return {
    bind(signatures) {
      // A symbol can be bound with one signature at a time. Most have only one, and are bound in one go.
      const together = new Map(Object.values(signatures).map((signature) => [signature.symbol, signature]));
      const described_ = [...together].map(([symbol, signature]) => [symbol, described(signature)] as const);
      const { symbols } = dlopen(library, Object.fromEntries(described_));
      const apart = (signature: Signature) => dlopen(library, { [signature.symbol]: described(signature) }).symbols;
      return (name, args) => {
        const signature = signatures[name];
        const from = signature && together.get(signature.symbol) !== signature ? apart(signature) : symbols;
        const call = from[signature?.symbol ?? ""];
        if (!call) throw new Error(`${library} has no ${name}`);
        const keep: Uint8Array[] = [];
        const value = Number(call(...args.map((argument) => convert(argument, keep))));
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
    bind(signatures) {
      const bound = new Map(
        Object.entries(signatures).map(([name, { symbol, parameters, result }]) => [
          name,
          libc.func(
            symbol,
            types[result],
            parameters.map((parameter) => types[parameter]),
          ),
        ]),
      );
      return (name, args) => {
        const given = args.map((argument) => (Array.isArray(argument) ? [...argument, null] : argument));
        return Number(bound.get(name)?.(...given));
      };
    },
    errno: () => koffi.errno(),
  };
}
