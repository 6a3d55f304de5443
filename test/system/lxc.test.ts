/** `-e lxc` with cgroup v2, LXC 6 and a real systemd inside: as root, and as a user with a user manager. */
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { eventually, must, type Outcome, type RunOptions, root, run, type User } from "../support/process.ts";
import { createWorld, group, type World } from "../support/world.ts";

/** The guest's own alice, with a systemd user manager that keeps running. */
const alice: User = { uid: 1001, gid: 1001, groups: [group] };
const bob: User = { uid: 1002, gid: 1002, groups: [group] };
const callers = [
  ["root", root],
  ["a user", alice],
] as const;
const bridge = "isobr0";

let world: World;
let scratch: string;

beforeAll(async () => {
  world = await createWorld();
  scratch = mkdtempSync(join(tmpdir(), "isolate-lxc-test-"));
  await must(["chown", "1001:1001", scratch]);
  await must(["loginctl", "enable-linger", "alice"]);
  await must(["ip", "link", "add", bridge, "type", "bridge"]);
  await eventually("alice's manager runs", () => existsSync("/run/user/1001/systemd/private"));
}, 1_800_000);
afterAll(async () => {
  await run(["ip", "link", "del", bridge]);
  await run(["loginctl", "disable-linger", "alice"]);
  rmSync(scratch, { recursive: true, force: true });
  await world.close();
}, 300_000);

/** A whole emulated processor: with the default fifth of one, systemd takes a minute to boot. */
const patient = { LXC_CPU_QUOTA: "100" };

const lxc = (args: readonly string[], options: RunOptions = {}): Promise<Outcome> =>
  world.isolate(["-e", "lxc", "-z", world.template, ...args], {
    as: root,
    patience: 120_000,
    ...options,
    env: { ...patient, ...options.env },
  });

/** Everything that a container may leave on a host: processes, cgroups, directories, locks, mounts, network devices. */
async function leftovers(): Promise<string[]> {
  const processes = await must(["sh", "-c", "pgrep -a lxc-; pgrep -af [-]-keep-container; true"]);
  const cgroups = await must(["find", "/sys/fs/cgroup", "-name", "*isolate-*-*-*", "-type", "d"]);
  const directories = ["/run/user/1001", "/tmp"].flatMap((parent) =>
    readdirSync(parent).filter((name) => name.startsWith("isolate-lxc-1") || name === "lxc"),
  );
  const locks = existsSync("/run/lxc/lock") ? readdirSync("/run/lxc/lock") : [];
  const mounts = readFileSync("/proc/1/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes("lxc"));
  const veths = readdirSync("/sys/class/net").filter((name) => name.startsWith("veth"));
  return [...processes.split("\n"), ...cgroups.split("\n"), ...directories, ...locks, ...mounts, ...veths].filter(
    (line) => line !== "",
  );
}

const nothingLeft = (): Promise<boolean> =>
  eventually("nothing is left of the container", async () => (await leftovers()).length === 0);

/** `trap`: runs before anybody learns that the command is up. */
async function begin(script: string, as: User, trap = "true"): Promise<ChildProcess> {
  const child = world.begin(["-e", "lxc", "-z", world.template, "sh", "-c", `${trap}; echo up; ${script}`], {
    as,
    env: patient,
  });
  let stderr = "";
  child.stderr?.on("data", (data: Buffer) => {
    stderr += data;
  });
  await Promise.race([
    new Promise((resolve) => child.stdout?.once("data", resolve)),
    new Promise((_, reject) => child.once("exit", () => reject(new Error(`it ended: ${stderr}`)))),
  ]);
  return child;
}

const ended = (child: ChildProcess): Promise<number | null> =>
  child.exitCode !== null ? Promise.resolve(child.exitCode) : new Promise((resolve) => child.once("exit", resolve));

describe.each(callers)("as %s", (_who, as) => {
  test("boots the root filesystem's init, waits for it, and returns the command's exit code", async () => {
    const { code, stdout, stderr } = await lxc(["sh", "-c", "cat /proc/1/comm; systemctl is-system-running; exit 42"], {
      as,
    });
    expect({ code, stderr }).toEqual({ code: 42, stderr: "" });
    expect(stdout).toMatch(/^systemd\n(running|degraded)\n$/);
    await nothingLeft();
    await world.settled();
  });

  test("maps 65536 ids, and none of them is the host's root", async () => {
    const { stdout } = await lxc(
      ["sh", "-c", "id -u; touch /m; chown 33:65535 /m; stat -c %u:%g /m; cat /proc/self/uid_map"],
      {
        as,
      },
    );
    const [id, owner, ...map] = stdout.trim().split("\n");
    expect([id, owner]).toEqual(["0", "33:65535"]);
    const extents = map.map((line) => line.trim().split(/\s+/).map(Number));
    expect(extents.reduce((sum, extent) => sum + (extent[2] ?? 0), 0)).toBe(65536);
    for (const [, host] of extents) expect(host).toBeGreaterThan(0);
    if (as !== root) expect(extents[0]?.[1]).toBe(as.uid);
  });

  test("applies the limits exactly", async () => {
    const files = "cd /sys/fs/cgroup; cat cpu.max memory.max memory.swap.max pids.max";
    const env = { LXC_CPU_QUOTA: "34", LXC_MEM_MB_QUOTA: "300" };
    expect((await lxc(["sh", "-c", files], { as, env })).stdout).toBe(`34000 100000\n${300 * 2 ** 20}\n0\n4096\n`);
    const options = ["--cpus", "1.5", "--memory", "256M", "--pids", "300"];
    expect((await lxc([...options, "sh", "-c", files], { as, env })).stdout).toBe(
      `150000 100000\n${256 * 2 ** 20}\n0\n300\n`,
    );
  });

  test("-d, -v and -p accept every character that a configuration file could misread", async () => {
    const odd = join(scratch, `of ${as.uid}`, "a b\nlxc.cap.keep = none #\\040");
    await must(["install", "-d", "-o", String(as.uid), join(odd, ".."), odd]);
    const value = "x y\nlxc.environment = EVIL=1:";
    const { code, stdout } = await lxc(
      [
        "-d",
        `${odd}:/mnt/new dir`,
        "-v",
        `V:${value}`,
        "-p",
        "/mnt/new dir",
        "sh",
        "-c",
        'pwd; touch f; echo "$V|$EVIL"',
      ],
      { as },
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: `/mnt/new dir\n${value}|\n` });
    expect(await must(["stat", "-c", "%u", join(odd, "f")])).toBe(`${as.uid}\n`);
  });

  test("is filtered, cannot gain privileges, and has no host descriptor", async () => {
    const script = "grep -E 'NoNewPrivs|^Seccomp:' /proc/self/status /proc/1/status; ls /proc/self/fd; ls /oldroot";
    const { stdout } = await lxc(["sh", "-c", script], { as });
    const filtered = (of: string): string => `/proc/${of}/status:NoNewPrivs:\t1\n/proc/${of}/status:Seccomp:\t2\n`;
    expect(stdout).toBe(`${filtered("self")}${filtered("1")}0\n1\n2\n3\n`);
  });

  test("applies the caller's compiled filter, also to its init", async () => {
    // linkat(2) fails with EPERM: four times struct sock_filter.
    const words = [0x20, 0, 0, 0, 0x15, 0, 0x01, 265, 0x06, 0, 0, 0x00050001, 0x06, 0, 0, 0x7fff0000];
    const bytes = Buffer.alloc(32);
    for (let at = 0; at < 4; at++) {
      bytes.writeUInt16LE(words[4 * at] ?? 0, 8 * at);
      bytes.writeUInt8(words[4 * at + 1] ?? 0, 8 * at + 2);
      bytes.writeUInt8(words[4 * at + 2] ?? 0, 8 * at + 3);
      bytes.writeUInt32LE(words[4 * at + 3] ?? 0, 8 * at + 4);
    }
    const file = join(scratch, "no-linkat");
    writeFileSync(file, bytes);
    const script =
      "cd /root; touch a; ln a b 2>/dev/null || echo refused; grep -h filters /proc/1/status /proc/self/status";
    expect((await lxc([`--seccomp=${file}`, "sh", "-c", script], { as })).stdout).toBe(
      "refused\nSeccomp_filters:\t2\nSeccomp_filters:\t2\n",
    );
  });

  test.each([
    ["127", ["no-such-command"], 127],
    ["126", ["/etc/passwd"], 126],
    ["128+n", ["sh", "-c", "kill -KILL $$"], 137],
  ] as const)("exits with %s", async (_code, command, code) => {
    expect((await lxc(command, { as })).code).toBe(code);
  });

  test.each(["SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM"] as const)(
    "forwards %s to the command",
    async (signal) => {
      const child = await begin("while :; do sleep 0.1; done", as, `trap 'echo got; exit 9' ${signal.slice(3)}`);
      child.kill(signal);
      expect(await ended(child)).toBe(9);
      await nothingLeft();
    },
  );

  test("ends with a command that ignores TERM", async () => {
    const child = await begin("while :; do sleep 0.1; done", as, "trap '' TERM");
    child.kill("SIGTERM");
    expect(await ended(child)).toBe(137);
    await nothingLeft();
    await world.settled();
  });

  test("kill -9 of the client leaves nothing", async () => {
    const child = await begin("while :; do sleep 0.1; done", as);
    child.kill("SIGKILL");
    await ended(child);
    await nothingLeft();
    await world.settled();
  });

  test("two parallel runs of one template do not interfere", async () => {
    const children = await Promise.all([begin("read line; exit 4", as), begin("read line; exit 5", as)]);
    for (const child of children) child.stdin?.end("\n");
    expect(await Promise.all(children.map(ended))).toEqual([4, 5]);
    await nothingLeft();
  });

  test("attaches to the caller's terminal", async () => {
    const words = ["isolate", "-e", "lxc", "-z", world.template, "sh", "-c", "test -t 0 && test -t 1 && echo terminal"];
    const env = { ...patient, ISOLATE_SOCKET: world.socket, PATH: `${process.cwd()}/dist/bin:/usr/bin:/bin` };
    const { stdout } = await run(["script", "-qec", words.map((word) => `'${word}'`).join(" "), "/dev/null"], {
      as,
      env,
    });
    expect(stdout).toContain("terminal");
  });
});

describe("root", () => {
  test("forwards TSTP, CONT and WINCH, continues after HUP and with -i after INT, and runs hooks", async () => {
    const traps = ["TSTP", "CONT", "WINCH", "HUP"].map((name) => `trap 'echo ${name}' ${name};`).join(" ");
    const script = `${traps} trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done`;
    const child = world.begin(["-i", "-e", "lxc", "-z", world.template, "sh", "-c", script], {
      as: root,
      env: {
        ...patient,
        PRE_SPAWN_HOOK: 'echo "pre $(ls -d "$ROOTFS/etc" | wc -l)"',
        POST_SPAWN_HOOK: 'echo "post $(ls -d "$ROOTFS/etc" | wc -l)"',
      },
    });
    let heard = "";
    child.stdout?.on("data", (data: Buffer) => {
      heard += data;
    });
    const says = (what: string): Promise<boolean> => eventually(`it says ${what}`, () => heard.endsWith(`${what}\n`));
    await says("up");
    child.kill("SIGINT");
    child.kill("SIGTSTP");
    await says("TSTP");
    child.kill("SIGCONT");
    await says("CONT");
    child.kill("SIGWINCH");
    await says("WINCH");
    child.kill("SIGHUP");
    await says("HUP");
    await new Promise((resolve) => setTimeout(resolve, 2500)); // longer than the grace period after TERM
    const end = ended(child);
    child.kill("SIGTERM");
    await says("post 1");
    expect(await end).toBe(9);
    expect(heard).toBe("pre 1\nup\nTSTP\nCONT\nWINCH\nHUP\npost 1\n");
    await nothingLeft();
    await world.settled();
  });

  test("-n adds a device on the bridge", async () => {
    const { stdout } = await lxc(["-n", "sh", "-c", "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' ' | sort"], {
      env: { LXC_NET_BR: bridge },
    });
    expect(stdout).toBe("eth0\nlo\n");
    expect((await lxc(["sh", "-c", "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '"])).stdout).toBe("lo\n");
    await nothingLeft();
  });

  test("-u and -g choose the host's ids, and --no-new-userns applies to init and the command", async () => {
    const directory = join(scratch, "based");
    await must(["install", "-d", "-m", "777", directory]);
    const script =
      "touch /mnt/f; chown 33:33 /mnt/f; tr -s ' ' </proc/1/uid_map; grep -c Seccomp_filters:.2 /proc/1/status; unshare -U true || echo refused";
    const based = ["-u", "1000000", "-g", "2000000", "--no-new-userns", "-d", `${directory}:/mnt`];
    expect((await lxc([...based, "sh", "-c", script])).stdout).toBe(" 0 1000000 65536\n1\nrefused\n");
    expect(await must(["stat", "-c", "%u:%g", join(directory, "f")])).toBe("1000033:2000033\n");
  });

  test("the container's root cannot make :ro writable", async () => {
    const script = "mount -o remount,bind,rw /mnt; umount -l /mnt; touch /mnt/y";
    expect((await lxc(["-d", `${scratch}:/mnt:ro`, "sh", "-c", `${script}; test -e /mnt/y`])).code).not.toBe(2);
    expect(existsSync(join(scratch, "y"))).toBe(false);
  });

  test("DEBUG_LXC_SPAWN keeps a log under a name that nobody could prepare", async () => {
    const { stderr } = await lxc(["true"], { env: { DEBUG_LXC_SPAWN: "1" } });
    const file = /LXC's log is (\/tmp\/isolate_lxc_log\.\S+)/.exec(stderr)?.[1] ?? "";
    expect(readFileSync(file, "utf8")).toContain("lxc-start");
    rmSync(file);
  });

  test("LXC_MAP_TUN shows /dev/net/tun", async () => {
    await must(["modprobe", "tun"]);
    expect((await lxc(["test", "-c", "/dev/net/tun"], { env: { LXC_MAP_TUN: "1" } })).code).toBe(0);
    expect((await lxc(["test", "-c", "/dev/net/tun"])).code).toBe(1);
  });

  test("-t: changes in a directory stay", async () => {
    const directory = mkdtempSync(join(tmpdir(), "isolate-lxc-root-"));
    try {
      await must(["tar", "-C", directory, "-xpf", process.env.ISOLATE_TEST_ROOT_TAR ?? ""], { patience: 900_000 });
      const { code } = await world.isolate(["-e", "lxc", "-t", directory, "touch", "/m"], {
        as: root,
        env: patient,
      });
      expect(code).toBe(0);
      expect(await must(["stat", "-c", "%u", join(directory, "m")])).toBe("0\n");
      rmSync(join(directory, "sbin/init"), { force: true });
      rmSync(join(directory, "usr/sbin/init"), { force: true });
      const without = await world.isolate(["-e", "lxc", "-t", directory, "true"], { as: root });
      expect(without).toMatchObject({ code: 125, stdout: "" });
      expect(without.stderr).toContain("the root filesystem has no /sbin/init to boot");
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

describe("refuses with one error and 125, and uses no clone:", () => {
  const mark = "/tmp/isolate-lxc-evil";
  test.each([
    ["a quota that is a program", {}, { LXC_CPU_QUOTA: `20; touch ${mark}` }, "is not a whole number from 1 to 100"],
    ["a quota of zero", {}, { LXC_CPU_QUOTA: "0" }, "is not a whole number from 1 to 100"],
    ["a quota above 100", {}, { LXC_CPU_QUOTA: "101" }, "is not a whole number from 1 to 100"],
    ["a quota in another notation", {}, { LXC_MEM_MB_QUOTA: "9e9" }, "is not a whole number"],
    ["a missing bridge", { args: ["-n"] }, { LXC_NET_BR: "nosuch0" }, "there is no bridge 'nosuch0'"],
    [
      "a bridge name with a second line",
      { args: ["-n"] },
      { LXC_NET_BR: "a\nlxc.x = 1" },
      "not the name of a network device",
    ],
    [
      "a bridge for a user",
      { args: ["-n"], as: alice },
      { LXC_NET_BR: bridge },
      "only root may put a container on a bridge",
    ],
    ["a user's :ro", { args: ["-d", "/srv:/mnt:ro"], as: alice }, {}, "could make '/srv:/mnt:ro' writable"],
    ["a user without a manager", { as: bob }, {}, "user 1002 has no systemd user manager"],
  ] as const)("%s", async (_what, how, env, sentence) => {
    const { args = [], as = root } = how as { args?: readonly string[]; as?: User };
    const outcome = await lxc([...args, "echo", "ran"], { as, env });
    expect(outcome).toMatchObject({ code: 125, stdout: "" });
    expect(outcome.stderr).toContain(sentence);
    expect(existsSync(mark)).toBe(false);
    expect(await world.pool()).toMatchObject({ leased: 0, retired: 0 });
  });
});

describe("--cpus, --memory and --pids for bwrap and chroot", () => {
  test.each([
    ["bwrap", "root", root],
    ["bwrap", "a user", alice],
    ["chroot", "root", root],
  ] as const)("%s as %s", async (engine, _who, as) => {
    const child = world.begin(
      [
        "-e",
        engine,
        "--cpus=0.5",
        "--memory=200M",
        "--pids=50",
        "-z",
        world.template,
        "sh",
        "-c",
        "echo up; read line; exit 6",
      ],
      { as },
    );
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    const own = `/sys/fs/cgroup${readFileSync(`/proc/${child.pid}/cgroup`, "utf8").trim().slice("0::".length)}`;
    const read = (file: string): string => readFileSync(join(own, file), "utf8").trim();
    expect([read("cpu.max"), read("memory.max"), read("memory.swap.max"), read("pids.max")]).toEqual([
      "50000 100000",
      String(200 * 2 ** 20),
      "0",
      "50",
    ]);
    child.stdin?.end("\n");
    expect(await ended(child)).toBe(6);
    await eventually("the scope is gone", () => !existsSync(own));
  });

  test("reports a missing user manager, and runs nothing", async () => {
    const outcome = await world.isolate(["--pids=50", "-z", world.template, "echo", "ran"], { as: bob });
    expect(outcome).toMatchObject({ code: 125, stdout: "" });
    expect(outcome.stderr).toContain("user 1002 has no systemd user manager");
  });

  test("a fork bomb stops at the limit", async () => {
    const script = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; wait";
    const { stderr } = await world.isolate(["--pids=20", "-z", world.template, "sh", "-c", script], { as: alice });
    expect(stderr).toMatch(/Cannot fork|Resource temporarily unavailable/i);
  });
});
