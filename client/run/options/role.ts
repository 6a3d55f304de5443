/**
 * The role of a process in its run. A run may start its own program again: under a monitor that stays (`stay.ts`), in a
 * systemd scope that limits it (`scope.ts`), or both in that order. Pure.
 */
export type Role =
  | { readonly kind: "first" }
  /** `lease`: the lease of the process before it, as `stay.ts` writes it. */
  | { readonly kind: "in-monitor"; readonly lease: string }
  /** `unit`: the scope's name. `lease`: as above, if there was a monitor before the scope. */
  | { readonly kind: "in-scope"; readonly unit: string; readonly lease: string | undefined };

/** Returns the role from isolate's two internal options. */
export function roleOf({ unit, lease }: { unit: string | undefined; lease: string | undefined }): Role {
  if (unit !== undefined) return { kind: "in-scope", unit, lease };
  return lease === undefined ? { kind: "first" } : { kind: "in-monitor", lease };
}

/** Returns the lease of an earlier process of this run; `undefined` if this process has to lease. */
export function inherited(role: Role): string | undefined {
  return role.kind === "first" ? undefined : role.lease;
}
