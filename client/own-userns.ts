/** A user namespace for root's `-t DIR`, which needs no daemon: 65536 ids of a range that nobody else is given. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, writeFileSync } from "node:fs";
import { IsolateError } from "../daemon/protocol/errors.ts";
import type { Identity } from "./root.ts";

/** The last of the ids that systemd and shadow hand out to nobody; the daemon gives ranges from 0x70000000 upwards. */
const firstId = 0x7fff0000;
const idCount = 65536;

/** The namespace lives as long as the descriptor. Throws `system-call`. */
export async function makeUserns(): Promise<Identity> {
  // The helper makes it, so that its owner is the id that will join it; only root can write such maps.
  const helper = spawn("/usr/bin/unshare", ["--user", "/bin/cat"], {
    uid: firstId,
    gid: firstId,
    stdio: ["pipe", "pipe", "ignore"],
    cwd: "/",
    env: {},
  });
  try {
    const failed = once(helper, "error").then(([error]) => Promise.reject(error as Error));
    const ended = once(helper, "exit").then(() => Promise.reject(new Error("unshare ended")));
    helper.stdin.write("x"); // comes back when cat runs, in the new namespace
    await Promise.race([once(helper.stdout, "data"), failed, ended]);
    for (const file of ["uid_map", "gid_map"])
      writeFileSync(`/proc/${helper.pid}/${file}`, `0 ${firstId} ${idCount}\n`);
    return { uid: firstId, gid: firstId, userns: openSync(`/proc/${helper.pid}/ns/user`, "r") };
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
