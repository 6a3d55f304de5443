import { bwrap } from "./bwrap.ts";
import type { EngineName } from "./capabilities.ts";
import type { Invocation, LaunchSpec } from "./spec.ts";

/** The engines of this version; `capabilities.ts` names the others too. */
const available: Partial<Record<EngineName, (spec: LaunchSpec) => Invocation>> = { bwrap };

export function engineOf(name: EngineName): ((spec: LaunchSpec) => Invocation) | undefined {
  return available[name];
}
