/**
 * Plans which host ids a user's sandboxes use. Pure: texts and numbers in, maps out.
 *
 * Container id 0 is the caller. 1..65535 are the caller's range in subuid(5) and subgid(5) or, if there is none, a
 * range that the daemon owns. If root is the caller, the whole map is a range that the daemon owns: inside, nobody is
 * host 0.
 */
import { IsolateError } from "../../protocol/errors.ts";
import { givenIds, idEnd, idCount as rangeSize } from "../../protocol/ids.ts";
import { otherBase, type Reserved, whatIsWrongWithBase } from "./reserved.ts";

export interface DelegatedRange {
  /** A login name or a numeric user id; in subgid(5) too. */
  readonly who: string;
  readonly start: number;
  readonly count: number;
}

/** Skips lines that do not have the format of subuid(5), as newuidmap(1) does. */
export function parseDelegated(text: string): DelegatedRange[] {
  return text.split("\n").flatMap((line) => {
    const [, who, start, count] = /^([^:#\s][^:]*):([0-9]{1,10}):([0-9]{1,10})\s*$/.exec(line) ?? [];
    return who === undefined ? [] : [{ who, start: Number(start), count: Number(count) }];
  });
}

export interface Caller {
  readonly uid: number;
  readonly gid: number;
  /** The login name; absent, or the number as text, if there is none. */
  readonly name?: string;
}

export interface MapInput {
  readonly caller: Caller;
  readonly subuid: readonly DelegatedRange[];
  readonly subgid: readonly DelegatedRange[];
  /** The first ids of the ranges that the daemon has allocated, by user. */
  readonly given: ReadonlyMap<number, number>;
  readonly base: number;
  /** Ids that others may allocate. */
  readonly reserved: readonly Reserved[];
  /** The first ids of ranges in which an account has ids, and that account. */
  readonly taken: ReadonlyMap<number, string>;
}

export interface MapPlan {
  /** The host ids of container id 0. */
  readonly uid: number;
  readonly gid: number;
  /** The texts of uid_map and gid_map, each for a single write(2). */
  readonly uidMap: string;
  readonly gidMap: string;
  /** The first id of the daemon's range in the maps; `undefined` if there is none. */
  readonly range: number | undefined;
  /** The first id of a newly allocated range, which must be saved before it is used. */
  readonly give: number | undefined;
}

/** Throws `unsupported-host` if no range is left. */
export function planMap(input: MapInput): MapPlan {
  const { caller } = input;
  if (caller.uid === 0) {
    const { start, give } = ownedRange(input);
    const map = `0 ${start} ${rangeSize}\n`;
    return { uid: start, gid: start, uidMap: map, gidMap: map, range: start, give };
  }
  const uids = delegatedStart(input.subuid, caller, caller.uid);
  const gids = delegatedStart(input.subgid, caller, caller.gid);
  const owned = uids === undefined || gids === undefined ? ownedRange(input) : undefined;
  const map = (self: number, start: number | undefined): string =>
    `0 ${self} 1\n1 ${start ?? owned?.start} ${rangeSize - 1}\n`;
  return {
    uid: caller.uid,
    gid: caller.gid,
    uidMap: map(caller.uid, uids),
    gidMap: map(caller.gid, gids),
    range: owned?.start,
    give: owned?.give,
  };
}

/**
 * Returns the caller's first range that is large enough and excludes `self`: the kernel refuses overlapping extents.
 */
function delegatedStart(ranges: readonly DelegatedRange[], caller: Caller, self: number): number | undefined {
  return ranges.find(
    (range) =>
      (range.who === caller.name || range.who === String(caller.uid)) &&
      range.count >= rangeSize - 1 &&
      range.start > 0 &&
      range.start + rangeSize - 1 <= idEnd &&
      !overlap(range.start, rangeSize - 1, self, 1),
  )?.start;
}

/**
 * Returns the caller's earlier range, unless its ids now belong to somebody else or lie outside the configured ids;
 * otherwise the first free range.
 */
function ownedRange(input: MapInput): { start: number; give: number | undefined } {
  const { caller, subuid, subgid, given, base, reserved, taken } = input;
  const refuse = (what: string): IsolateError =>
    new IsolateError("unsupported-host", {
      what,
      fix: `${otherBase}, or give the user a range: usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST ${caller.name ?? caller.uid}`,
    });
  const wrong = whatIsWrongWithBase(base, reserved);
  if (wrong) throw refuse(wrong);
  const others = [...given].filter(([uid]) => uid !== caller.uid).map(([, start]) => start);
  const free = (start: number): boolean =>
    !taken.has(start) &&
    !reserved.some(({ first, last }) => overlap(start, rangeSize, first, last - first + 1)) &&
    ![...subuid, ...subgid].some((range) => overlap(start, rangeSize, range.start, range.count)) &&
    !others.some((other) => overlap(start, rangeSize, other, rangeSize)) &&
    !overlap(start, rangeSize, caller.uid, 1) &&
    !overlap(start, rangeSize, caller.gid, 1);
  const { end } = givenFrom(base);
  const before = given.get(caller.uid);
  if (before !== undefined && before >= base && before + rangeSize <= end && free(before))
    return { start: before, give: undefined };
  for (let start = base; start + rangeSize <= end; start += rangeSize) {
    if (free(start)) return { start, give: start };
  }
  const [account] = taken.values();
  throw refuse(
    `no ${rangeSize} ids are free from ${base} on for user ${caller.uid}${account ? `: there is ${account}` : ""}`,
  );
}

/** Returns all ids that the daemon may allocate from the configured `base` on: at least one range. */
export function givenFrom(base: number): { first: number; end: number } {
  return { first: base, end: Math.max(givenIds.end, base + rangeSize) };
}

function overlap(start: number, count: number, otherStart: number, otherCount: number): boolean {
  return start < otherStart + otherCount && otherStart < start + count;
}
