/**
 * Recognizes ids that belong to a user's namespace and not to a user of the host. The owner of a namespace can take on
 * any of its ids (setns(2), setuid(2)). A caller with such an id is therefore a disguised user, who would get every
 * limit many times over.
 */
import { idCount } from "../../protocol/ids.ts";
import { readDelegated } from "../idmap/delegated.ts";
import { type DelegatedRange, givenFrom } from "../idmap/ranges.ts";

export interface SubordinateIdsOptions {
  readonly subuidFile: string;
  readonly subgidFile: string;
  /** The first of the ids that the daemon allocates. */
  readonly rangeBase: number;
  /** The first ids of the ranges that the daemon has allocated, by user. */
  readonly given: () => ReadonlyMap<number, number>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

export type IsSubordinate = (caller: { readonly uid: number; readonly gid: number }) => boolean;

/** Milliseconds for which the files are not read again. */
const rememberFor = 10_000;

export function createIsSubordinate(options: SubordinateIdsOptions): IsSubordinate {
  let read = {
    at: Number.NEGATIVE_INFINITY,
    uids: [] as readonly DelegatedRange[],
    gids: [] as readonly DelegatedRange[],
  };
  const within = (id: number, ranges: readonly DelegatedRange[]): boolean =>
    isGiven(id) || ranges.some(({ start, count }) => id >= start && id < start + count);

  /** A range of an earlier `ids.base` no longer counts: an account of the host may be the reason for the change. */
  function isGiven(id: number): boolean {
    const { first, end } = givenFrom(options.rangeBase);
    if (id < first || id >= end) return false;
    for (const start of options.given().values()) if (id >= start && id < start + idCount) return true;
    return false;
  }

  return ({ uid, gid }) => {
    const now = options.clock();
    if (now - read.at > rememberFor) {
      const [uids, gids] = [options.subuidFile, options.subgidFile].map(readDelegated);
      read = { at: now, uids: uids ?? [], gids: gids ?? [] };
    }
    return within(uid, read.uids) || within(gid, read.gids);
  };
}
