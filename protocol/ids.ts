/** The host ids that root chooses for a sandbox: 65536 from a base. The client and the daemon both check them. */
import { IsolateError } from "./errors.ts";

export interface BaseIds {
  /** The host ids of container id 0; the next host id is container id 1, and so on. */
  readonly uid: number;
  readonly gid: number;
}

/** The number of ids in a sandbox. */
export const idCount = 65536;
/** The ids below belong to the host's users, systemd's among them. */
export const usersEnd = 65536;
/** (uid_t) -1 is not a valid id, user_namespaces(7). */
export const idEnd = 0xffffffff;
/** Software that treats ids as signed, as bubblewrap 0.8 does in its maps, sees the ids from here on as negative. */
export const signedEnd = 0x80000000;
/**
 * systemd's "Users, Groups, UIDs and GIDs" leaves the ids from 0x70000000 up to its foreign ids at 0x7ffe0000 free. The
 * daemon gives these to users without a range of their own.
 */
export const givenIds = { first: 0x70000000, end: 0x7ffe0000 } as const;

/**
 * Much software treats ids as signed, so users get none of the upper half (systemd's "Users, Groups, UIDs and GIDs").
 */
const last = signedEnd - idCount;

/**
 * Reads the values of `-u` and `-g`. If only one is given, it is used for both; `undefined` if none is. `given`: the
 * ids that are reserved for the daemon. Throws `bad-ids`.
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
  if (base === 0) throw wrong("0 is the host's root, which no sandbox may use");
  if (base < 0 || base > last) {
    const why = base > last && base < idEnd ? "; much software treats the ids above as negative" : "";
    throw wrong(`it is not a whole number from 1 to ${last}${why}`);
  }
  if (base < given.end && given.first < base + idCount)
    throw wrong(`the ids from ${given.first} to ${given.end - 1} are reserved for users without a range of their own`);
  return base;
}
