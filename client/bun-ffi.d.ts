/** The part of Bun's FFI that `ffi.ts` uses; Bun's own types would replace Node's everywhere. */
declare module "bun:ffi" {
  export interface Signature {
    readonly args: readonly string[];
    readonly returns: string;
  }
  export function dlopen(
    library: string,
    symbols: Record<string, Signature>,
  ): { symbols: Record<string, (...args: unknown[]) => number> };
  export function ptr(bytes: ArrayBufferView): number;
  export const read: { i32(pointer: number): number };
}
