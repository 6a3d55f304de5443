/** Host ids for a sandbox of root's that root chose: 65536 of them from a base on. Judged by the client and the daemon alike. */
import { IsolateError } from "./errors.ts";

export interface BaseIds {
  /** Host ids of container 0; N + 1 is container 1, and so on. */
  readonly uid: number;
  readonly gid: number;
}

/** Ids of a sandbox. */
export const idCount = 65536;
/** Below are systemd's users and everybody's of a host. */
export const usersEnd = 65536;
/** (uid_t) -1 is no id, user_namespaces(7). */
export const idEnd = 0xffffffff;
/** Half of all ids are negative numbers to software that takes ids for signed ones, as bubblewrap 0.8 does in its maps. */
export const signedEnd = 0x80000000;
/**
 * systemd's "Users, Groups, UIDs and GIDs" leaves 0x70000000 up to its foreign ids at 0x7ffe0000 free: the daemon gives
 * these to users who have none of their own.
 */
export const givenIds = { first: 0x70000000, end: 0x7ffe0000 } as const;

/** The upper half is not for users (systemd's "Users, Groups, UIDs and GIDs"): much software takes ids for signed numbers. */
const last = signedEnd - idCount;

/**
 * Of `-u` and `-g`; one of them alone is meant for both. `given`: what must stay the daemon's to give. Throws `bad-ids`.
 */
export function readBaseIds(
  texts: { readonly uid?: string | undefined; readonly gid?: string | undefined },
  given: { readonly first: number; readonly end: number } = givenIds,
): BaseIds | undefined {
  const { uid, gid } = texts;
  if (uid === undefined && gid === undefined) return undefined;
  const read = (option: string, text: string | undefined): number | undefined =>
    text === undefined ? undefined : readBase(option, text, given);
  const [one, other] = [read("-u", uid), read("-g", gid)];
  return { uid: one ?? other ?? 0, gid: other ?? one ?? 0 };
}

function readBase(option: string, text: string, given: { readonly first: number; readonly end: number }): number {
  const wrong = (why: string) => new IsolateError("bad-ids", { option, value: text.slice(0, 40), wrong: why });
  const base = /^[0-9]{1,10}$/.test(text) ? Number(text) : -1;
  if (base === 0) throw wrong("0 is the host's root, whom no sandbox may hold");
  if (base < 0 || base > last) {
    const why = base > last && base < idEnd ? "; much software takes the ids above for negative numbers" : "";
    throw wrong(`it is not a whole number from 1 to ${last}${why}`);
  }
  if (base < given.end && given.first < base + idCount)
    throw wrong(`the ids from ${given.first} to ${given.end - 1} are for users who have none of their own`);
  return base;
}
