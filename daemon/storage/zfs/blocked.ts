/** What keeps a clone of ours from its end. Pure. */
import type { Dependents } from "./parse.ts";

/** What was made of a clone that is not ours to destroy, and the command that the administrator has for it. */
export function whatBlocks({ children, clones, held }: Dependents): { cause: string; fix: string } | undefined {
  const made = [...children, ...clones];
  const [name] = made;
  if (name !== undefined) return { cause: `somebody made ${listed(made)} of it`, fix: `zfs destroy ${name}` };
  const [snapshot] = held;
  if (snapshot === undefined) return undefined;
  return { cause: `somebody holds ${listed(held)}`, fix: `zfs holds ${snapshot}, then zfs release TAG ${snapshot}` };
}

function listed(names: readonly string[]): string {
  const most = 3;
  return names.slice(0, most).join(", ") + (names.length > most ? ` and ${names.length - most} more` : "");
}
