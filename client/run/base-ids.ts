/**
 * Checks the ids that root chooses with `-u`. Outside the sandbox the engine runs as that user with root's standard
 * descriptors, and a host user with that id can take the descriptors over (pidfd_getfd(2), ptrace(2)).
 */
import { IsolateError } from "../../protocol/errors.ts";
import { type BaseIds, idCount, usersEnd } from "../../protocol/ids.ts";
import type { Libc } from "./linux/libc.ts";

/** Throws `terminal-of-others` if a user could read what root types, and type as root. */
export function expectNobodysTerminal({ uid }: BaseIds, libc: Libc): void {
  if ([0, 1, 2].some(libc.isTerminal) && canBeTaken(uid, libc.readTextIfAny("/etc/subuid") ?? ""))
    throw new IsolateError("terminal-of-others", { uid });
}

/** Whether users of the host have, or can take on, ids in the range from `base`: `subuid` is subuid(5). Pure. */
export function canBeTaken(base: number, subuid: string): boolean {
  const delegated = subuid.split("\n").some((line) => {
    const [first, count] = line.split(":").slice(1).map(Number);
    return first !== undefined && count !== undefined && first < base + idCount && base < first + count;
  });
  return base < usersEnd || delegated;
}
