/** Names of users and groups, from getent(1), which knows all of the host's databases. */
import { IsolateError } from "../../protocol/errors.ts";
import { CommandError, run } from "../linux/child-process.ts";

export interface Accounts {
  /** Returns `undefined` if there is no such group. A number stands for itself. */
  gid(nameOrId: string | number): Promise<number | undefined>;
  /** Returns `undefined` if there is no such user. A number stands for itself. */
  uid(nameOrId: string | number): Promise<number | undefined>;
  /** Returns the number as text if the user has no name. */
  userName(uid: number): Promise<string>;
  /** The same for listings: the number as text also if the lookup fails. */
  shownName(uid: number): Promise<string>;
}

const rememberFor = 60_000;
/** Milliseconds to wait for a directory service. */
const patience = 10_000;

/**
 * Returns the output of getent(1). Throws `CommandError` if it fails or takes too long; an unknown key is not an error.
 */
export async function getent(args: readonly string[]): Promise<string> {
  try {
    return await run("getent", args, { patience });
  } catch (error) {
    if (error instanceof CommandError && error.code === 2) return error.stdout; // getent(1): some key was not found
    throw error;
  }
}

/** Caches answers for a minute, `not found` included. */
export function createAccounts(clock: () => number): Accounts {
  const remembered = new Map<string, { at: number; fields: Promise<readonly string[] | undefined> }>();

  /** Caches the promise: a listing of a thousand leases asks a thousand times in a row, and one process answers. */
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
