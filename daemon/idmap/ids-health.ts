/** What `isolate doctor` says of the ids that the daemon gives. */
import { toIsolateError } from "../../protocol/errors.ts";
import type { AccountWithin } from "./accounts-within.ts";
import { otherBase, type Reserved, whatIsWrongWithBase } from "./reserved.ts";

export interface IdsHealthOptions {
  readonly base: number;
  /** First ids of the ranges that the daemon has given, by user. */
  readonly given: () => ReadonlyMap<number, number>;
  readonly reserved: () => readonly Reserved[];
  readonly accountWithin: AccountWithin;
}

export interface IdsHealth {
  readonly base: number;
  /** Why ids cannot be given, or to whom they belong as well, and the next step; null where all is well. */
  readonly wrong: string | null;
  readonly fix: string | null;
}

/** Ranges that are asked about, so that a host of many users keeps no directory service busy. */
const mostAsked = 20;

/** Root's look is at everybody's ranges, a user's at the user's own; where there is none, at the one that would be next. */
export function createIdsHealth({ base, given, reserved, accountWithin }: IdsHealthOptions) {
  return async (uid: number): Promise<IdsHealth> => {
    const wrong = whatIsWrongWithBase(base, reserved());
    if (wrong) return { base, wrong, fix: otherBase };
    const ranges = [...given()].filter(([user]) => uid === 0 || user === uid).slice(0, mostAsked);
    if (ranges.length === 0) ranges.push([uid, base]);
    try {
      for (const [user, first] of ranges) {
        const account = await accountWithin(first);
        if (account === undefined) continue;
        const wrong = `the range of user ${user} from ${first} (ids.base) on has ids of accounts: there is ${account}`;
        return { base, wrong, fix: otherBase };
      }
      return { base, wrong: null, fix: null };
    } catch (error) {
      const { message, hint } = toIsolateError(error);
      return { base, wrong: message, fix: hint };
    }
  };
}
