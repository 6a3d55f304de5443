/** What `native/starter/starter.c` gives its JavaScript; there is nothing else of a host in it. */
import type { SystemCall } from "../run/linux/system-call.ts";

interface Native {
  readonly systemCall: SystemCall;
  /** These three: see `native/starter/prestart.h`. */
  start(words: readonly string[], descriptors: Int32Array): number;
  letGo(): void;
  drop(): void;
  /** As UTF-8; a lone surrogate as three bytes. */
  encode(text: string): ArrayBuffer;
  /** What is not UTF-8 becomes U+FFFD. */
  decode(bytes: Uint8Array): string;
  /** Without the program's own name. */
  readonly words: readonly ArrayBuffer[];
  /** NAME=VALUE each. */
  readonly environment: readonly ArrayBuffer[];
  /** As Node names it. */
  readonly architecture: string;
  exit(code: number): never;
}

export const native = (globalThis as unknown as { readonly native: Native }).native;
