/**
 * Which host ids a user's sandboxes use. Pure: texts and numbers in, maps out.
 *
 * Container 0 is the caller, 1..65535 is the caller's range of subuid(5) and subgid(5), or a range that the daemon owns
 * where there is none. Root as the caller is never host 0 inside: the whole map is a range that the daemon owns.
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

/** Lines that do not have the form of subuid(5) are passed over, as newuidmap(1) does. */
export function parseDelegated(text: string): DelegatedRange[] {
  return text.split("\n").flatMap((line) => {
    const [, who, start, count] = /^([^:#\s][^:]*):([0-9]{1,10}):([0-9]{1,10})\s*$/.exec(line) ?? [];
    return who === undefined ? [] : [{ who, start: Number(start), count: Number(count) }];
  });
}

export interface Caller {
  readonly uid: number;
  readonly gid: number;
  /** Login name; absent or the number as text where there is none. */
  readonly name?: string;
}

export interface MapInput {
  readonly caller: Caller;
  readonly subuid: readonly DelegatedRange[];
  readonly subgid: readonly DelegatedRange[];
  /** First ids of the ranges that the daemon has given, by user. */
  readonly given: ReadonlyMap<number, number>;
  readonly base: number;
  /** What is for others to give. */
  readonly reserved: readonly Reserved[];
  /** First ids of ranges some of which an account has, and that account. */
  readonly taken: ReadonlyMap<number, string>;
}

export interface MapPlan {
  /** Host ids of container 0. */
  readonly uid: number;
  readonly gid: number;
  /** The texts of uid_map and gid_map, each for one single write(2). */
  readonly uidMap: string;
  readonly gidMap: string;
  /** First id of the range of the daemon that is part of them; `undefined` if none is. */
  readonly range: number | undefined;
  /** First id of a range given just now, to be remembered before it is used. */
  readonly give: number | undefined;
}

/** Throws `unsupported-host` when no range is left to give. */
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

/** The caller's first range that is big enough and free of `self`: the kernel refuses a map whose extents overlap. */
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
 * The range given to the caller before, unless its ids are somebody else's since then or outside of what the configuration
 * says; otherwise the first free one.
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

/** All that the daemon gives where the configuration says the first: one range at least. */
export function givenFrom(base: number): { first: number; end: number } {
  return { first: base, end: Math.max(givenIds.end, base + rangeSize) };
}

function overlap(start: number, count: number, otherStart: number, otherCount: number): boolean {
  return start < otherStart + otherCount && otherStart < start + count;
}
