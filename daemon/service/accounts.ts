/** Names of users and groups, from getent(1) and so from wherever the host keeps them. */
import { CommandError, run } from "../linux/child-process.ts";

export interface Accounts {
  /** Undefined when there is no such group. A number stands for itself. */
  gid(nameOrId: string | number): Promise<number | undefined>;
  /** Undefined when there is no such user. A number stands for itself. */
  uid(nameOrId: string | number): Promise<number | undefined>;
  /** The number as text where the user has no name. */
  userName(uid: number): Promise<string>;
}

const rememberFor = 60_000;

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
    try {
      return (await run("getent", [database, "--", key])).trim().split(":");
    } catch (error) {
      if (!(error instanceof CommandError) || error.code !== 2) throw error; // getent(1): not found
      return undefined;
    }
  }

  async function id(database: "passwd" | "group", nameOrId: string | number): Promise<number | undefined> {
    if (typeof nameOrId === "number") return nameOrId;
    if (/^[0-9]+$/.test(nameOrId)) return Number(nameOrId);
    const fields = await entry(database, nameOrId);
    return fields?.[2] === undefined ? undefined : Number(fields[2]);
  }

  return {
    gid: (group) => id("group", group),
    uid: (user) => id("passwd", user),
    userName: async (uid) => (await entry("passwd", String(uid)))?.[0] ?? String(uid),
  };
}
