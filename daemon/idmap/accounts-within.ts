/**
 * Finds out whether accounts have ids that the daemon would allocate. A slow directory service delays no other caller.
 */
import { findAccount, type Getent } from "../../protocol/accounts.ts";
import { IsolateError } from "../../protocol/errors.ts";
import { idCount } from "../../protocol/ids.ts";

/** `findAccount`, cached for a minute. Throws `unsupported-host` if the lookup fails. */
export type AccountWithin = (first: number) => Promise<string | undefined>;

const rememberFor = 60_000;

export function createAccountWithin(getent: Getent, clock: () => number): AccountWithin {
  const remembered = new Map<number, { readonly at: number; readonly account: Promise<string | undefined> }>();

  const find = (first: number): Promise<string | undefined> =>
    findAccount(getent, first).catch((error: unknown) => {
      const cause = error instanceof Error ? error.message : String(error);
      const last = first + idCount - 1;
      throw new IsolateError(
        "unsupported-host",
        {
          what: `it is unknown whether accounts have the ids from ${first} to ${last} (ids.base): ${cause}`,
          fix: `run 'getent passwd ${first}'; a user with ranges in /etc/subuid and /etc/subgid needs none of these ids`,
        },
        error,
      );
    });

  return (first) => {
    const known = remembered.get(first);
    if (known && clock() - known.at < rememberFor) return known.account;
    const account = find(first);
    remembered.set(first, { at: clock(), account });
    account.catch(() => remembered.delete(first));
    return account;
  };
}
