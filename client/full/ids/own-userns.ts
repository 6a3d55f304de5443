/** User namespaces for `-t DIR`, which needs no daemon, if bubblewrap cannot make them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { IsolateError } from "../../../protocol/errors.ts";
import { type BaseIds, idCount } from "../../../protocol/ids.ts";
import type { Identity } from "../../run/drop-root.ts";
import { expectNobodys, getent, ownIds } from "./own-ids.ts";

/**
 * For root: 65536 ids of a range that nothing else uses. The namespace lives as long as its descriptor. Throws
 * `system-call`, and `bad-ids` if somebody has the ids.
 */
export async function makeUserns(chosen: BaseIds | undefined): Promise<Identity> {
  if (!chosen) await expectNobodys(getent, ["/etc/subuid", "/etc/subgid"].map(textOf));
  const { uid, gid } = chosen ?? ownIds;
  const map = (first: number): string => `0 ${first} ${idCount}\n`;
  // A helper makes it, so that its owner is the id that will join it. Only root can write such maps.
  return { uid, gid, userns: await mapped({ uid, gid }, { uid_map: map(uid), gid_map: map(gid) }) };
}

/** Returns the file's text; empty if the file does not exist. */
function textOf(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

/** For any other caller: maps only the caller's ids, to 0. Throws `system-call`. */
export function makeCallersUserns({ uid, gid }: BaseIds): Promise<number> {
  // Without rights over a group, setgroups(2) must be given up before the group is mapped, user_namespaces(7).
  return mapped({}, { uid_map: `0 ${uid} 1\n`, setgroups: "deny", gid_map: `0 ${gid} 1\n` });
}

type Maps = Readonly<Record<"uid_map" | "gid_map", string> & { setgroups?: string }>;

async function mapped(owner: Partial<BaseIds>, maps: Maps): Promise<number> {
  const helper = spawn("/usr/bin/unshare", ["--user", "/bin/cat"], {
    ...owner,
    stdio: ["pipe", "pipe", "ignore"],
    cwd: "/",
    env: {},
  });
  try {
    const failed = once(helper, "error").then(([error]) => Promise.reject(error as Error));
    const ended = once(helper, "exit").then(() => Promise.reject(new Error("unshare ended")));
    helper.stdin.write("x"); // cat returns it as soon as it runs in the new namespace
    await Promise.race([once(helper.stdout, "data"), failed, ended]);
    // Opened before it is mapped, so that no process with this id can replace it meanwhile.
    const userns = openSync(`/proc/${helper.pid}/ns/user`, "r");
    for (const [file, text] of Object.entries(maps)) writeFileSync(`/proc/${helper.pid}/${file}`, text);
    return userns;
  } catch (error) {
    throw new IsolateError(
      "system-call",
      { call: "unshare --user", cause: error instanceof Error ? error.message : String(error) },
      error,
    );
  } finally {
    const gone = helper.exitCode === null && helper.signalCode === null ? once(helper, "exit") : undefined;
    helper.kill("SIGKILL");
    await gone;
  }
}
