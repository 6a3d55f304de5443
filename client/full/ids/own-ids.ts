/** The ids of root's `-t DIR` if root chose none: the last ids that neither systemd nor shadow allocates. */
import { findAccount, type Getent } from "../../../protocol/accounts.ts";
import { IsolateError } from "../../../protocol/errors.ts";
import { type BaseIds, idCount } from "../../../protocol/ids.ts";
import { canBeTaken } from "../../run/base-ids.ts";
import { run } from "../doctor/trial.ts";

/** Above the ids that the daemon allocates. */
export const ownIds: BaseIds = { uid: 0x7fff0000, gid: 0x7fff0000 };

/**
 * `delegated`: the texts of subuid(5) and subgid(5). Throws `bad-ids` if the ids belong to somebody, or that is
 * unknown.
 */
export async function expectNobodys(getent: Getent, delegated: readonly string[]): Promise<void> {
  const [first, last] = [ownIds.uid, ownIds.uid + idCount - 1];
  const refuse = (wrong: string, cause?: unknown) =>
    new IsolateError("bad-ids", { option: "-t from", value: String(first), wrong }, cause);
  if (delegated.some((text) => canBeTaken(first, text)))
    throw refuse(`/etc/subuid or /etc/subgid delegates IDs from there to ${last}`);
  const account = await findAccount(getent, first).catch((error: unknown) => {
    throw refuse(`it is unknown whether accounts have IDs from there to ${last}: ${(error as Error).message}`, error);
  });
  if (account) throw refuse(`an account has an ID from there to ${last}: ${account}`);
}

export async function getent(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run("getent", args);
  if (code === 0 || code === 2) return stdout; // getent(1): a key was not found
  throw new Error(stderr.trim() || `getent ended with ${code ?? "a signal, or took too long"}`);
}
