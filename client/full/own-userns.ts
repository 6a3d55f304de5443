/** A user namespace for root's `-t DIR`, which needs no daemon: 65536 ids of a range that nobody else is given. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, writeFileSync } from "node:fs";
import { IsolateError } from "../../protocol/errors.ts";
import { type BaseIds, idCount } from "../../protocol/ids.ts";
import type { Identity } from "../run/drop-root.ts";

/** The last of the ids that systemd and shadow hand out to nobody, above those that the daemon gives. */
const own: BaseIds = { uid: 0x7fff0000, gid: 0x7fff0000 };

/** The namespace lives as long as the descriptor. Throws `system-call`. */
export async function makeUserns({ uid, gid } = own): Promise<Identity> {
  // The helper makes it, so that its owner is the id that will join it; only root can write such maps.
  const helper = spawn("/usr/bin/unshare", ["--user", "/bin/cat"], {
    uid,
    gid,
    stdio: ["pipe", "pipe", "ignore"],
    cwd: "/",
    env: {},
  });
  try {
    const failed = once(helper, "error").then(([error]) => Promise.reject(error as Error));
    const ended = once(helper, "exit").then(() => Promise.reject(new Error("unshare ended")));
    helper.stdin.write("x"); // comes back when cat runs, in the new namespace
    await Promise.race([once(helper.stdout, "data"), failed, ended]);
    // Opened before it is mapped, so that nobody who has this id can put another one in its place meanwhile.
    const userns = openSync(`/proc/${helper.pid}/ns/user`, "r");
    for (const [file, first] of [
      ["uid_map", uid],
      ["gid_map", gid],
    ] as const)
      writeFileSync(`/proc/${helper.pid}/${file}`, `0 ${first} ${idCount}\n`);
    return { uid, gid, userns };
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
