/** The host functions that `native/starter/starter.c` offers to JavaScript; there are no others. */
import type { SystemCall } from "../run/linux/system-call.ts";

interface Native {
  readonly systemCall: SystemCall;
  /** For these three see `native/starter/prestart.h`. */
  start(words: readonly string[], descriptors: Int32Array): number;
  letGo(): void;
  drop(): void;
  /** Encodes as UTF-8; a lone surrogate becomes three bytes. */
  encode(text: string): ArrayBuffer;
  /** Decodes UTF-8; other bytes become U+FFFD. */
  decode(bytes: Uint8Array): string;
  /** The arguments, without the program's name. */
  readonly words: readonly ArrayBuffer[];
  /** Lines of the form NAME=VALUE. */
  readonly environment: readonly ArrayBuffer[];
  /** The architecture by Node's name. */
  readonly architecture: string;
  exit(code: number): never;
}

export const native = (globalThis as unknown as { readonly native: Native }).native;
