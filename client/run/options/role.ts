/**
 * Which process of a run this is. A run may start its own program again: under a monitor that stays for it (`stay.ts`),
 * or in a systemd scope that limits it (`scope.ts`), or first the one and then the other. Pure.
 */
export type Role =
  | { readonly kind: "first" }
  /** `lease`: what the process before it leased, as `stay.ts` writes it. */
  | { readonly kind: "in-monitor"; readonly lease: string }
  /** `unit`: the scope's name. `lease`: as above, if there was a monitor before the scope. */
  | { readonly kind: "in-scope"; readonly unit: string; readonly lease: string | undefined };

/** Returns the role that the two options of our own tell. */
export function roleOf({ unit, lease }: { unit: string | undefined; lease: string | undefined }): Role {
  if (unit !== undefined) return { kind: "in-scope", unit, lease };
  return lease === undefined ? { kind: "first" } : { kind: "in-monitor", lease };
}

/** Returns what an earlier process leased for this one; `undefined` if this process has to lease. */
export function inherited(role: Role): string | undefined {
  return role.kind === "first" ? undefined : role.lease;
}
