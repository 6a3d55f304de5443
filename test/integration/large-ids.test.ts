/** Users and groups with ids beyond a signed 32-bit number, and ids that directory services assign. */
import { chmodSync, mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { LogEntry } from "../../protocol/schema.ts";
import { must, root, type User } from "../support/process.ts";
import { projectRoot } from "../support/project.ts";
import { createWorld, group, type World } from "../support/world.ts";

/** The first id that is negative as a signed number, the next one, the last valid id, and an Active Directory id. */
const large = [2_147_483_648, 3_000_000_000, 4_294_967_294, 1_885_580_785];
const users: readonly User[] = large.flatMap((id) => [
  { uid: id, gid: id, groups: [group] },
  { uid: id, gid: 61104, groups: [group] },
  { uid: 61104, gid: id, groups: [group] },
]);

let world: World;
let scratch: string;

beforeAll(async () => {
  world = await createWorld();
  scratch = world.scratch();
}, 1_200_000);
afterAll(() => world.close(), 300_000);

describe.each(users.map((as) => [`user ${as.uid} of group ${as.gid}`, as] as const))("%s", (_who, as) => {
  test("runs as root inside, with all ids, and owns root's files on the host", async () => {
    const shared = mkdtempSync(join(scratch, "shared-"));
    chmodSync(shared, 0o777);
    const script = "id -u; id -g; touch /f /mnt/f; chown 33:65535 /f; stat -c %u:%g /f /etc/shadow";
    const inside = ["-z", world.template, "-d", `${shared}:/mnt`, "sh", "-ec", script];
    expect(await world.isolate(inside, { as })).toEqual({ code: 0, stdout: "0\n0\n33:65535\n0:42\n", stderr: "" });
    expect(await must(["stat", "-c", "%u:%g", join(shared, "f")])).toBe(`${as.uid}:${as.gid}\n`);
  });

  test("runs with other capabilities, which requires a nested user namespace", async () => {
    const outcome = await world.isolate(["-z", world.template, "--cap-add", "SYS_PTRACE", "id", "-u"], { as });
    expect(outcome).toEqual({ code: 0, stdout: "0\n", stderr: "" });
  });

  test("runs in its own directory, without the daemon", async () => {
    const directory = mkdtempSync(join(scratch, "root-"));
    for (const place of ["bin", "proc", "dev", "tmp", "home"]) mkdirSync(join(directory, place), { recursive: true });
    await must(["cp", join(projectRoot, "dist/test/try-syscall"), join(directory, "bin/try")]);
    await must(["chown", "-R", `${as.uid}:${as.gid}`, directory]);
    const command = ["-t", directory, "/bin/try", "create", "/f"];
    expect(await world.isolate(command, { as })).toEqual({ code: 0, stdout: "OK\n", stderr: "" });
    expect(await must(["stat", "-c", "%u:%g", join(directory, "f")])).toBe(`${as.uid}:${as.gid}\n`);
  });

  test("sees and kills its own sandbox, and is in the log with its number", async () => {
    const child = world.begin(["-z", world.template, "sh", "-c", "echo up; read line"], { as });
    await new Promise((resolve) => child.stdout?.once("close", resolve).once("data", resolve));
    const [lease] = (await world.leases()).filter(({ pid }) => pid === child.pid);
    expect(lease).toMatchObject({ uid: as.uid, user: String(as.uid) });
    expect(JSON.parse((await world.isolate(["ps", "--json"], { as })).stdout)).toHaveLength(1);
    expect(await world.isolate(["kill", lease?.lease ?? ""], { as })).toMatchObject({ code: 0 });
    await world.settled();
    const logged = await world.isolate(["log", "--json", "--user", String(as.uid)], { as: root });
    expect((JSON.parse(logged.stdout) as LogEntry[]).find((entry) => entry.lease === lease?.lease)).toMatchObject({
      uid: as.uid,
      end: "killed",
      by: String(as.uid),
    });
  });
});
