/** The main job: `isolate -z TEMPLATE COMMAND` by an ordinary user. */
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { must } from "../support/process.ts";
import { alice, bob, createWorld, type World } from "../support/world.ts";

let world: World;
let scratch: string;

beforeAll(async () => {
  world = await createWorld();
  scratch = world.scratch(alice);
}, 1_200_000);
afterAll(() => world.close(), 300_000);

const inside = (command: string, options = {}) => world.isolate(["-z", world.template, "sh", "-c", command], options);

describe("a run", () => {
  test("is root in its own complete Debian", async () => {
    const { stdout, stderr, code } = await inside("id -u; id -g; . /etc/os-release; echo $ID; pwd; echo $HOME");
    expect({ stdout, stderr, code }).toEqual({ stdout: "0\n0\ndebian\n/\n/root\n", stderr: "", code: 0 });
  });

  test("takes a clone from the pool, which is then refilled", async () => {
    const before = await world.settled();
    const child = world.begin(["-z", world.template, "sh", "-c", "echo up; read line"]);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    expect(await world.pool()).toMatchObject({ leased: 1 });
    child.stdin?.end("\n");
    expect(await world.settled()).toEqual(before);
  });

  test("leaves nothing for the next run", async () => {
    expect((await inside("touch /var/m /etc/m /root/m && rm -r /usr/bin/ls")).code).toBe(0);
    expect((await inside("test -e /var/m || test -e /etc/m || test -e /root/m")).code).toBe(1);
    expect((await inside("test -e /usr/bin/ls")).code).toBe(0);
  });

  test("sees only its own processes, a separate loopback, and none of the host's directories", async () => {
    const { stdout } = await inside(
      "ls /proc | grep -c '^[0-9]'; ls /sys/class/net 2>/dev/null; cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '; ls -d /oldroot 2>&1",
    );
    expect(stdout).toMatch(/^[2-6]\nlo\nls: cannot access '\/oldroot'/);
  });

  test("gets only a few named variables of the caller's environment", async () => {
    const { stdout } = await inside("env", { env: { SECRET: "x", TERM: "vt100", LANG: "C.UTF-8", LD_PRELOAD: "" } });
    const names = stdout.split("\n").map((line) => line.split("=")[0]);
    expect(names).toEqual(expect.arrayContaining(["PATH", "HOME", "TERM", "LANG"]));
    expect(names).not.toContain("SECRET");
    expect(names).not.toContain("ISOLATE_SOCKET");
  });

  test("leaves nothing on the host: no mount, no directory, no process", async () => {
    await inside("true");
    await world.settled();
    const listed = await must(["find", join(world.runtime, "users"), "-mindepth", "2", "-not", "-name", "userns*"]);
    expect(listed).toBe("");
  });
});

test("every clone has a machine-id, the template's or a new one, and no other /etc is written", async () => {
  const id = async (...args: string[]) =>
    (await world.isolate(["-z", world.template, ...args, "cat", "/etc/machine-id"])).stdout;
  const ids = [await id(), await id(), await id("-p", "/tmp")];
  for (const one of ids) expect(one).toMatch(/^[0-9a-f]{32}\n$/);
  // Creating this template gave it one.
  expect(new Set(ids).size).toBe(process.env.ISOLATE_TEST_ZPOOL ? 3 : 1);
  const etc = join(scratch, "etc");
  mkdirSync(etc);
  chmodSync(etc, 0o777);
  expect((await world.isolate(["-z", world.template, "-d", `${etc}:/etc`, "ls", "-A", "/etc"])).stdout).toBe("");
});

describe("its exit code", () => {
  test.each([
    ["the command's own", ["sh", "-c", "exit 42"], 42],
    ["128 + n for a signal", ["sh", "-c", "kill -TERM $$"], 143],
    ["128 + 9 for a kill", ["sh", "-c", "kill -KILL $$"], 137],
    ["127 for a command that does not exist", ["no-such-command"], 127],
    ["126 for a command that cannot be executed", ["/etc/passwd"], 126],
    ["127 for a missing command with the name of an engine option", ["--tmpfs"], 127],
  ])("is %s", async (_what, command, expected) => {
    expect((await world.isolate(["-z", world.template, "--", ...command])).code).toBe(expected);
  });
});

describe("its options", () => {
  test("-d binds a directory: files written there belong to the caller on the host", async () => {
    const { code } = await world.isolate([
      "-z",
      world.template,
      "-d",
      `${scratch}:/mnt/new dir`,
      "touch",
      "/mnt/new dir/x",
    ]);
    expect(code).toBe(0);
    expect(await must(["stat", "-c", "%u:%g", join(scratch, "x")])).toBe(`${alice.uid}:${alice.gid}\n`);
  });

  test("-d with :ro cannot be written or made writable from inside", async () => {
    const args = ["-z", world.template, "-d", `${scratch}:/mnt:ro`];
    expect(
      (
        await world.isolate([
          ...args,
          "sh",
          "-c",
          "touch /mnt/y; mount -o remount,rw /mnt; mount -o remount,bind,rw /mnt; touch /mnt/y",
        ])
      ).code,
    ).not.toBe(0);
    expect(
      (
        await world.isolate([
          ...args,
          "unshare",
          "-Urm",
          "sh",
          "-c",
          "mount -o remount,bind,rw /mnt; umount -l /mnt; touch /mnt/y",
        ])
      ).code,
    ).not.toBe(0);
    expect(existsSync(join(scratch, "y"))).toBe(false);
  });

  test("-d accepts a file and a relative path", async () => {
    writeFileSync(join(scratch, "data"), "hello\n");
    const { stdout } = await world.isolate(["-z", world.template, "-d", "data:/srv/data", "cat", "/srv/data"], {
      cwd: scratch,
    });
    expect(stdout).toBe("hello\n");
  });

  test("-v sets the environment, and the value may contain colons and spaces", async () => {
    const { stdout } = await world.isolate([
      "-z",
      world.template,
      "-v",
      "DISPLAY::0",
      "-v",
      "A:b c",
      "sh",
      "-c",
      'echo "$DISPLAY|$A"',
    ]);
    expect(stdout).toBe(":0|b c\n");
  });

  test("-p sets the working directory", async () => {
    expect((await world.isolate(["-z", world.template, "-p", "/etc", "pwd"])).stdout).toBe("/etc\n");
  });

  test("-p starts in a directory that -d creates, at any depth", async () => {
    const args = ["-z", world.template, "-d", `${scratch}:/work/of/mine`, "-p", "/work/of/mine", "pwd"];
    expect(await world.isolate(args)).toEqual({ code: 0, stdout: "/work/of/mine\n", stderr: "" });
  });

  test("-n shares the host's network", async () => {
    const host = await must(["readlink", "/proc/self/ns/net"]);
    expect((await world.isolate(["-z", world.template, "-n", "readlink", "/proc/self/ns/net"])).stdout).toBe(host);
    expect((await inside("readlink /proc/self/ns/net")).stdout).not.toBe(host);
  });

  test("options end at the command", async () => {
    expect((await world.isolate(["-z", world.template, "echo", "-z", "-n", "--help"])).stdout).toBe("-z -n --help\n");
  });

  test("-q prints no messages", async () => {
    expect(await world.isolate(["-q", "-z", world.template, "true"])).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});

describe("listings", () => {
  test("ps shows users their own leases, and root all of them", async () => {
    const children = [alice, bob].map((as) =>
      world.begin(["-z", world.template, "sh", "-c", "echo up; read line"], { as }),
    );
    await Promise.all(children.map((child) => new Promise((resolve) => child.stdout?.once("data", resolve))));
    const own = JSON.parse((await world.isolate(["ps", "--json"], { as: bob })).stdout);
    expect(own).toMatchObject([
      {
        user: String(bob.uid),
        pid: children[1]?.pid,
        template: world.template,
        command: expect.stringContaining("read line"),
      },
    ]);
    expect(Object.keys(own[0])).toEqual(
      expect.arrayContaining(["lease", "template", "user", "pid", "command", "since"]),
    );
    expect(await world.leases()).toHaveLength(2);
    for (const child of children) child.stdin?.end("\n");
    await world.settled();
  });

  test("pool prints the requested fields", async () => {
    const [pool] = await world.pools();
    expect(pool).toMatchObject({ template: world.template, size: 3, failed: 0, lastError: null });
    expect(Object.keys(pool ?? {})).toEqual(
      expect.arrayContaining([
        "template",
        "driver",
        "snapshot",
        "size",
        "ready",
        "leased",
        "retired",
        "failed",
        "lastError",
      ]),
    );
    const { stdout } = await world.isolate(["pool"]);
    expect(stdout).toContain(world.template);
  });
});
