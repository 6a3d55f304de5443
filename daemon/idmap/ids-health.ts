/** The state of the ids that the daemon allocates, for `isolate doctor`. */
import { toIsolateError } from "../../protocol/errors.ts";
import type { AccountWithin } from "./accounts-within.ts";
import { otherBase, type Reserved, whatIsWrongWithBase } from "./reserved.ts";

export interface IdsHealthOptions {
  readonly base: number;
  /** The first ids of the ranges that the daemon has allocated, by user. */
  readonly given: () => ReadonlyMap<number, number>;
  readonly reserved: () => readonly Reserved[];
  readonly accountWithin: AccountWithin;
}

export interface IdsHealth {
  readonly base: number;
  /** Why ids cannot be allocated, or who else owns them, and the next step; null if all is well. */
  readonly wrong: string | null;
  readonly fix: string | null;
}

/** The most ranges to look up, so that a host with many users does not overload a directory service. */
const mostAsked = 20;

/** Checks all ranges for root, and a user's own range for a user; if there is none, the range that would be next. */
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
        const wrong = `the range of user ${user} from ${first} (ids.base) on contains ids of accounts: there is ${account}`;
        return { base, wrong, fix: otherBase };
      }
      return { base, wrong: null, fix: null };
    } catch (error) {
      const { message, hint } = toIsolateError(error);
      return { base, wrong: message, fix: hint };
    }
  };
}
