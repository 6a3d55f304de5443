/** A real user with a pinned user namespace, who acts in a view from the host, and as root inside. */
import { chmodSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AccountWithin } from "../../daemon/idmap/accounts-within.ts";
import { createUserNamespaces, type UserNamespaces } from "../../daemon/idmap/userns.ts";
import type { IdMap } from "../../daemon/storage/driver.ts";
import { must, type Outcome, run, type User } from "../support/process.ts";
import { unmountBelow } from "./drivers.ts";

export const owner: User = { uid: 61201, gid: 61201, groups: [] };
export const other: User = { uid: 61202, gid: 61202, groups: [] };
/** The host id of container id 1. */
export const rangeStart = 1_000_000;

export interface Lessee {
  /** The directory that holds everything of the lessee. */
  readonly directory: string;
  readonly map: IdMap;
  /** The id map of `other`. */
  readonly others: IdMap;
  /** Returns a new empty directory for a view, which only the owner can reach. */
  place(): string;
  /** Runs a shell script on the host, in that directory. */
  outside(directory: string, script: string, as?: User): Promise<Outcome>;
  /** Runs a shell script as container id 0 with its capabilities, in that directory. Throws if it fails. */
  inside(directory: string, script: string): Promise<string>;
  close(): Promise<void>;
}

/** Makes a directory for the test that every user may enter. */
export function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "isolate-contract-"));
  chmodSync(directory, 0o755);
  return directory;
}

export async function removeDirectory(directory: string): Promise<void> {
  await unmountBelow(directory);
  await must(["rm", "-rf", "--one-file-system", directory]);
}

export function openNamespaces(
  runtimeDirectory: string,
  subuid: string,
  given = new Map<number, number>(),
  accountWithin: AccountWithin = async () => undefined,
): UserNamespaces {
  return createUserNamespaces({
    runtimeDirectory,
    subuidFile: subuid,
    subgidFile: subuid,
    rangeBase: 0x70000000,
    ranges: { rangeOf: (uid) => given.get(uid), all: () => given, save: (uid, start) => given.set(uid, start) },
    userName: async (uid) => String(uid),
    accountWithin,
    reserved: () => [],
    log: { info: () => undefined },
  });
}

export async function createLessee(): Promise<Lessee> {
  const directory = makeDirectory();
  const subuid = join(directory, "subuid");
  await must(["sh", "-c", `echo ${owner.uid}:${rangeStart}:65536 > ${subuid}`]);
  const namespaces = openNamespaces(join(directory, "run"), subuid);
  const pinned = await namespaces.for(owner);
  const others = await namespaces.for(other);
  let places = 0;
  return {
    directory,
    map: { userns: pinned.fd, uid: pinned.uid, gid: pinned.gid },
    others: { userns: others.fd, uid: others.uid, gid: others.gid },
    place() {
      const at = join(pinned.directory, `view-${places++}`);
      mkdirSync(at);
      return at;
    },
    outside: (at, script, as = owner) => run(["sh", "-c", `cd "$0" && ${script}`, at], { as }),
    inside(at, script) {
      const enter = ["nsenter", `--user=${pinned.userns}`, "-S", "0", "-G", "0", "--"];
      return must([...enter, "sh", "-ec", `cd "$0"; ${script}`, at], { as: owner });
    },
    async close() {
      namespaces.close();
      await removeDirectory(directory);
    },
  };
}
