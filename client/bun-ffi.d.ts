/** The part of Bun's FFI that `ffi.ts` uses; Bun's own types would replace Node's everywhere. */
interface BunSignature {
  readonly args: readonly string[];
  readonly returns: string;
}

interface BunFfi {
  dlopen(
    library: string,
    symbols: Readonly<Record<string, BunSignature>>,
  ): { symbols: Record<string, (...args: unknown[]) => number> };
  ptr(bytes: ArrayBufferView): number;
  readonly read: { i32(pointer: number): number };
}

declare namespace NodeJS {
  interface Process {
    getBuiltinModule(id: "bun:ffi"): BunFfi;
  }
}
