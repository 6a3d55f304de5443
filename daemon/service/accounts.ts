/** Names of users and groups, from getent(1) and so from wherever the host keeps them. */
import { IsolateError } from "../../protocol/errors.ts";
import { CommandError, run } from "../linux/child-process.ts";

export interface Accounts {
  /** Undefined when there is no such group. A number stands for itself. */
  gid(nameOrId: string | number): Promise<number | undefined>;
  /** Undefined when there is no such user. A number stands for itself. */
  uid(nameOrId: string | number): Promise<number | undefined>;
  /** The number as text where the user has no name. */
  userName(uid: number): Promise<string>;
  /** The same for listings: the number as text, too, where nobody answers. */
  shownName(uid: number): Promise<string>;
}

const rememberFor = 60_000;
/** Milliseconds for a directory service. */
const patience = 10_000;

/** What getent(1) found. Throws `CommandError` where it fails or takes too long; not to find something is no failure. */
export async function getent(args: readonly string[]): Promise<string> {
  try {
    return await run("getent", args, { patience });
  } catch (error) {
    if (error instanceof CommandError && error.code === 2) return error.stdout; // getent(1): some key was not found
    throw error;
  }
}

/** Answers are remembered for a minute, `not found` too. */
export function createAccounts(clock: () => number): Accounts {
  const remembered = new Map<string, { at: number; fields: Promise<readonly string[] | undefined> }>();

  /** A listing of a thousand leases asks a thousand times at once, and one process answers. */
  function entry(database: "passwd" | "group", key: string): Promise<readonly string[] | undefined> {
    const name = `${database} ${key}`;
    const known = remembered.get(name);
    if (known && clock() - known.at < rememberFor) return known.fields;
    const fields = lookUp(database, key);
    remembered.set(name, { at: clock(), fields });
    fields.catch(() => remembered.delete(name));
    return fields;
  }

  async function lookUp(database: "passwd" | "group", key: string): Promise<readonly string[] | undefined> {
    const text = await getent([database, "--", key]).catch((error: unknown) => {
      throw new IsolateError("accounts-silent", { database, key, cause: (error as Error).message }, error);
    });
    return text === "" ? undefined : text.trim().split(":");
  }

  async function id(database: "passwd" | "group", nameOrId: string | number): Promise<number | undefined> {
    if (typeof nameOrId === "number") return nameOrId;
    if (/^[0-9]+$/.test(nameOrId)) return Number(nameOrId);
    const fields = await entry(database, nameOrId);
    return fields?.[2] === undefined ? undefined : Number(fields[2]);
  }

  const userName = async (uid: number): Promise<string> => (await entry("passwd", String(uid)))?.[0] ?? String(uid);
  return {
    gid: (group) => id("group", group),
    uid: (user) => id("passwd", user),
    userName,
    shownName: (uid) => userName(uid).catch(() => String(uid)),
  };
}
