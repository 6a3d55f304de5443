/** What a run is given by the program that it is part of: the kernel, the terminal, and what only the whole client has. */
import type { Extras } from "./extras.ts";
import type { Libc } from "./linux/libc.ts";
import type { RootCalls } from "./linux/root-calls.ts";
import type { Environment } from "./options/options.ts";
import type { Starter } from "./prestart.ts";
import type { Print } from "./report/print.ts";

export interface RunContext {
  /** Path of the daemon's socket. */
  readonly socket: string;
  readonly environment: Environment;
  /** This program, and its script where a runtime runs it. */
  readonly self: readonly string[];
  /** The words that it was given. */
  readonly words: readonly string[];
  readonly libc: Libc;
  readonly rootCalls: RootCalls;
  /** Returns the soft limit of descriptors that this process was started with. */
  readonly descriptorLimit: () => number;
  /** `undefined` if the runtime has none. */
  readonly starter: Starter | undefined;
  /** Only for runs for which `needsExtras` is true: the starter becomes the whole client there and does not return. */
  readonly extras: () => Promise<Extras>;
  readonly print: Print;
}
