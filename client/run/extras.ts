/**
 * What some runs need and the starter's runtime does not have: child processes, connections and timers. The whole client
 * implements it in `client/full/extras.ts`.
 */
import { engineOf } from "../../engines/index.ts";
import type { LaunchSpec, Limits } from "../../engines/spec.ts";
import type { BaseIds } from "../../protocol/ids.ts";
import type { RunContext } from "./context.ts";
import type { Identity } from "./drop-root.ts";
import type { Libc } from "./linux/libc.ts";
import type { RunRequest } from "./options/options.ts";
import type { HostFacts, PrivateNetwork } from "./plan.ts";
import type { Shown } from "./shown.ts";

export interface Extras {
  /** Looks at the host for the engine lxc. Throws `cannot-boot`. */
  probeContainerHost(request: RunRequest, caller: ContainerCaller): ContainerFacts;
  /** Runs the command in a container and exits with its code. */
  runContainer(run: ContainerRun, context: RunContext): Promise<never>;
  /** Prepares `--net=private`. Throws `missing-program`, `missing-protection`, `no-private-network` and `system-call`. */
  preparePrivateNetwork(libc: Libc): PrivateNetwork;
  /** Makes a user namespace for root's `-t DIR`. Throws `system-call`. */
  makeUserns(ids: BaseIds | undefined): Promise<Identity>;
  /** Looks at the caller's session for X11 and sound. Throws `cannot-share`. */
  probeSession(request: RunRequest, ids: BaseIds | undefined, context: RunContext): Promise<Shown>;
}

export interface ContainerCaller {
  readonly uid: number;
  /** XDG_RUNTIME_DIR, if it is set. */
  readonly runtimeDirectory: string | undefined;
}

export interface ContainerFacts {
  /** XDG_RUNTIME_DIR of the user manager; `undefined` for root, who needs none. */
  readonly userManager: string | undefined;
  /** Whether the kernel counts swap per cgroup. */
  readonly swap: boolean;
  /** The limits asked for, with the default for memory. */
  readonly limits: Limits;
}

export interface ContainerRun {
  readonly request: RunRequest;
  readonly facts: HostFacts;
  readonly host: ContainerFacts;
  /** The ids that root chose. */
  readonly ids: BaseIds | undefined;
  readonly spec: LaunchSpec;
  readonly userns: number | undefined;
  readonly lease: number | undefined;
}

/** Whether a run needs the extras. */
export function needsExtras({ engine, screen, sound, network, root }: RunRequest, uid: number): boolean {
  return (
    engineOf(engine) === undefined ||
    screen !== undefined ||
    sound ||
    network === "private" ||
    ("directory" in root && uid === 0)
  );
}
