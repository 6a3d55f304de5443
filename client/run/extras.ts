/** The runs that need more than the starter's runtime has, and the parameters of an engine that boots a container. */
import { engineOf } from "../../engines/index.ts";
import type { LaunchSpec, Limits } from "../../engines/spec.ts";
import { type BaseIds, signedEnd } from "../../protocol/ids.ts";
import type { RunRequest } from "./options/requests.ts";
import type { HostFacts } from "./plan.ts";

export interface ContainerCaller {
  readonly uid: number;
  /** XDG_RUNTIME_DIR, if it is set. */
  readonly runtimeDirectory: string | undefined;
}

export interface ContainerFacts {
  /** XDG_RUNTIME_DIR of the user manager; `undefined` for root, which needs no user manager. */
  readonly userManager: string | undefined;
  /** Whether the kernel counts swap per cgroup. */
  readonly swap: boolean;
  /** The requested limits, with the default for memory. */
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
export function needsExtras({ engine, screen, sound, network, root }: RunRequest, caller: BaseIds): boolean {
  return (
    engineOf(engine) === undefined ||
    screen !== undefined ||
    sound ||
    network === "private" ||
    ("directory" in root && (caller.uid === 0 || isPastSigned(caller)))
  );
}

/** Whether bubblewrap cannot make a user namespace for that caller: it writes ids as signed numbers. */
export function isPastSigned({ uid, gid }: BaseIds): boolean {
  return Math.max(uid, gid) >= signedEnd;
}
