/** Turns a caller's query of the lease log into a filter that the caller may use. */

import { IsolateError } from "../../protocol/errors.ts";
import type { LogQuery } from "../../protocol/schema.ts";
import type { Cursor, Filter } from "../records/lease-log.ts";
import type { Accounts } from "../service/accounts.ts";

/** The most entries of one answer, which is made without a pause. */
const most = 250;

/** Members can read only their own entries. Throws `not-root` for another user's, and `unknown-user`. */
export async function readLogQuery(query: LogQuery, caller: number, accounts: Accounts): Promise<Filter> {
  const { user, template, end, since, until, limit, cursor } = query;
  const uid = caller === 0 ? await userOf(user, accounts) : await ownUid(user, caller, accounts);
  return {
    ...(uid === undefined ? {} : { uid }),
    ...(template === undefined ? {} : { template }),
    ...(end === undefined ? {} : { end }),
    ...(since === undefined ? {} : { since: Date.parse(since) }),
    ...(until === undefined ? {} : { until: Date.parse(until) }),
    limit: Math.min(most, Number(limit)),
    ...(cursor === undefined ? {} : { after: readCursor(cursor) }),
  };
}

export function writeCursor({ since, id }: Cursor): string {
  return `${since}.${id}`;
}

/** Parses a text that the schema has validated. */
function readCursor(text: string): Cursor {
  const [since = 0, id = 0] = text.split(".").map(Number);
  return { since, id };
}

async function userOf(user: string | undefined, accounts: Accounts): Promise<number | undefined> {
  if (user === undefined) return undefined;
  const uid = await accounts.uid(user);
  if (uid === undefined) throw new IsolateError("unknown-user", { user });
  return uid;
}

/** Compares the name with the caller's own: members must not start root's processes with names of their choice. */
async function ownUid(user: string | undefined, caller: number, accounts: Accounts): Promise<number> {
  if (user === undefined || user === String(caller) || user === (await accounts.userName(caller))) return caller;
  throw new IsolateError("not-root", { what: "read the log of other users' runs" });
}
