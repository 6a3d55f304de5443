/** The program's services for a run: the kernel, the terminal, and the parts that only the whole client has. */
import type { BaseIds } from "../../protocol/ids.ts";
import type { Identity } from "./drop-root.ts";
import type { ContainerCaller, ContainerFacts, ContainerRun } from "./extras.ts";
import type { Libc } from "./linux/libc.ts";
import type { RootCalls } from "./linux/root-calls.ts";
import type { Environment, RunRequest } from "./options/requests.ts";
import type { PrivateNetwork } from "./plan.ts";
import type { Starter } from "./prestart.ts";
import type { Print } from "./report/print.ts";
import type { Shown } from "./shown.ts";

export interface RunContext {
  /** Path of the daemon's socket. */
  readonly socket: string;
  readonly environment: Environment;
  /** This program, and its script if a runtime runs it. */
  readonly self: readonly string[];
  /** The words of this program's command line. */
  readonly words: readonly string[];
  readonly libc: Libc;
  readonly rootCalls: RootCalls;
  /** Returns the soft descriptor limit with which this process was started. */
  readonly descriptorLimit: () => number;
  /** `undefined` if the runtime has no starter. */
  readonly starter: Starter | undefined;
  /** Only for runs that `needsExtras`. In the starter it becomes the whole client and does not return. */
  readonly extras: () => Promise<Extras>;
  readonly print: Print;
}

/**
 * Services of some runs that the starter's runtime lacks: child processes, connections and timers. The whole client
 * implements them in `client/full/extras.ts`.
 */
export interface Extras {
  /** Probes the host for the engine lxc. Throws `cannot-boot`. */
  probeContainerHost(request: RunRequest, caller: ContainerCaller): ContainerFacts;
  /** Runs the command in a container and exits with its code. */
  runContainer(run: ContainerRun, context: RunContext): Promise<never>;
  /**
   * Prepares `--net=private`. Throws `missing-program`, `missing-protection`, `no-private-network` and `system-call`.
   */
  preparePrivateNetwork(libc: Libc): PrivateNetwork;
  /** Makes a user namespace for root's `-t DIR`. Throws `system-call` and `bad-ids`. */
  makeUserns(ids: BaseIds | undefined): Promise<Identity>;
  /** Makes a user namespace for `-t DIR` of a caller who `isPastSigned`: root inside is the caller. Throws `system-call`. */
  makeCallersUserns(caller: BaseIds): Promise<number>;
  /** Probes the caller's session for X11 and sound. Throws `cannot-share`. */
  probeSession(request: RunRequest, ids: BaseIds | undefined, context: RunContext): Promise<Shown>;
}
