/** Types of the parts of Bun that isolate uses; Bun's own types would replace Node's everywhere. */
interface BunSignature {
  readonly args: readonly string[];
  readonly returns: string;
}

declare const Bun: {
  readonly FFI: {
    dlopen<Name extends string>(
      library: string,
      symbols: Readonly<Record<Name, BunSignature>>,
    ): { symbols: Record<Name, (...args: readonly number[]) => number> };
    ptr(bytes: NodeJS.TypedArray): number;
    readonly read: { i32(pointer: number): number };
  };
};
