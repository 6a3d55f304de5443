/** What a run is given by the program that it is part of: the kernel, the terminal, and what only the whole client has. */
import type { BaseIds } from "../../protocol/ids.ts";
import type { Identity } from "./drop-root.ts";
import type { ContainerCaller, ContainerFacts, ContainerRun } from "./extras.ts";
import type { Libc } from "./linux/libc.ts";
import type { RootCalls } from "./linux/root-calls.ts";
import type { Environment, RunRequest } from "./options/options.ts";
import type { PrivateNetwork } from "./plan.ts";
import type { Starter } from "./prestart.ts";
import type { Print } from "./report/print.ts";
import type { Shown } from "./shown.ts";

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

/**
 * What some runs need and the starter's runtime does not have: child processes, connections and timers. The whole client
 * implements it in `client/full/extras.ts`.
 */
export interface Extras {
  /** Looks at the host for the engine lxc. Throws `cannot-boot`. */
  probeContainerHost(request: RunRequest, caller: ContainerCaller): ContainerFacts;
  /** Runs the command in a container and exits with its code. */
  runContainer(run: ContainerRun, context: RunContext): Promise<never>;
  /** Prepares `--net=private`. Throws `missing-program`, `missing-protection`, `no-private-network` and `system-call`. */
  preparePrivateNetwork(libc: Libc): PrivateNetwork;
  /** Makes a user namespace for root's `-t DIR`. Throws `system-call` and `bad-ids`. */
  makeUserns(ids: BaseIds | undefined): Promise<Identity>;
  /** Makes a user namespace for a `-t DIR` whose caller `isPastSigned`: root inside is the caller. Throws `system-call`. */
  makeCallersUserns(caller: BaseIds): Promise<number>;
  /** Looks at the caller's session for X11 and sound. Throws `cannot-share`. */
  probeSession(request: RunRequest, ids: BaseIds | undefined, context: RunContext): Promise<Shown>;
}
