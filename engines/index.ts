/** The engines that become one process. lxc boots a container instead and is loaded only when it is used: `lxc.ts`. */
import { bwrap } from "./bwrap.ts";
import { chroot } from "./chroot.ts";
import type { EngineName } from "./features.ts";
import type { Invocation, LaunchSpec } from "./spec.ts";

export type ProcessEngine = (spec: LaunchSpec) => Invocation;

const processEngines: Partial<Record<EngineName, ProcessEngine>> = { bwrap, chroot };

export function engineOf(name: EngineName): ProcessEngine | undefined {
  return processEngines[name];
}
