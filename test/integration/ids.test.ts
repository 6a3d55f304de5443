/** Every id inside is usable, and no host id is reached, not even if root is the caller. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { must, root, run } from "../support/process.ts";
import { program, projectRoot } from "../support/project.ts";
import { alice, bob, createWorld, mountsBelow, type World } from "../support/world.ts";

let world: World;
let scratch: string;

beforeAll(async () => {
  world = await createWorld();
  scratch = world.scratch();
}, 1_200_000);
afterAll(() => world.close(), 300_000);

const callers = [
  ["a user with a range in subuid", alice],
  ["a user with a range from the daemon", bob],
  ["root", root],
] as const;

describe.each(callers)("%s", (_who, as) => {
  const inside = (command: string, args: string[] = []) =>
    world.isolate(["-z", world.template, ...args, "bash", "-ec", command], { as, patience: 300_000 });

  test("is root inside, and can use every id from 0 to 65535", async () => {
    const { stdout, stderr } = await inside(
      "id -u; touch /f; for id in 1 33 1000 65535; do chown $id:$id /f; stat -c %u:%g /f; done",
    );
    expect(stdout + stderr).toBe("0\n1:1\n33:33\n1000:1000\n65535:65535\n");
  });

  test("finds the template's files with their own owners", async () => {
    expect((await inside("stat -c %u:%g /etc/shadow /root /var/cache/apt/archives/partial")).stdout).toBe(
      "0:42\n0:0\n42:0\n",
    );
  });

  test("can add a user, become it, and write as it", async () => {
    const { stdout, stderr, code } = await inside("useradd -m ann; su ann -c 'id -un; touch ~/f; stat -c %U ~/f'");
    expect({ stdout, code, stderr }).toEqual({ stdout: "ann\nann\n", code: 0, stderr: "" });
  });

  test("can install a package with apt-get", async () => {
    const build =
      "mkdir -p /d/DEBIAN /d/opt; echo content > /d/opt/hello; chown 33:33 /d/opt/hello; printf 'Package: hello-isolate\\nVersion: 1\\nArchitecture: all\\nMaintainer: t <t@localhost>\\nDescription: t\\n' > /d/DEBIAN/control; dpkg-deb -b /d /hello.deb >/dev/null";
    const { stdout, stderr, code } = await inside(
      `${build}; apt-get install -y /hello.deb >/log 2>&1 || cat /log; cat /opt/hello; stat -c %u /opt/hello; dpkg-query -W hello-isolate`,
    );
    expect({ stdout, code, stderr }).toEqual({ stdout: "content\n33\nhello-isolate\t1\n", code: 0, stderr: "" });
  });

  test("has the named capabilities and no more, and can gain none", async () => {
    const { stdout } = await inside("grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status | tr -s '\\t' ' '");
    // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP
    const named = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31].reduce((mask, bit) => mask + 2 ** bit, 0);
    const mask = named.toString(16).padStart(16, "0");
    expect(stdout).toBe(`CapEff: ${mask}\nCapBnd: ${mask}\nNoNewPrivs: 1\n`);
  });

  test("cannot write kernel settings", async () => {
    const { stdout } = await inside(
      "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/sys/vm/drop_caches; do (echo x > $f) 2>/dev/null && echo $f; done; true",
    );
    expect(stdout).toBe("");
  });

  test("impossible: the clone is bound read-only, so nothing of it can be written", async () => {
    const places = "/ /etc /usr/bin /var/lib /root /opt /srv /boot";
    expect((await inside(`for d in ${places}; do touch $d/.w; echo x >>/etc/passwd; rm $d/.w; done`)).stderr).toBe("");
  });

  test("impossible: one id is mapped, so root's files are nobody's", async () => {
    const nobodys = "find / -xdev \\( -uid 65534 -o -gid 65534 -o ! -uid 0 -path '/usr/lib/*' \\) ! -path /proc | head";
    expect((await inside(nobodys)).stdout).toBe("");
  });

  test("impossible: as real root there is no user namespace", async () => {
    const { stdout } = await inside("readlink /proc/self/ns/user; tr -s ' ' </proc/self/uid_map");
    const [namespace, ...map] = stdout.trim().split("\n");
    expect(namespace).toMatch(/^user:\[/);
    expect(namespace).not.toBe(readlinkSync("/proc/self/ns/user"));
    for (const line of map) expect(line).not.toMatch(/^ \d+ 0 /);
  });

  test("impossible: the host's environment leaks in; HOME points to an empty tmpfs", async () => {
    const env = {
      SECRET: "s",
      HOME: "/home/hers",
      XDG_RUNTIME_DIR: "/run/user/1",
      LD_PRELOAD: "",
      SSH_AUTH_SOCK: "/s",
    };
    const script =
      "env | cut -d= -f1 | sort | tr '\\n' ' '; echo; cd; pwd; touch kept; ls -A | grep -c bashrc; stat -f -c %T .";
    const { stdout } = await world.isolate(["-z", world.template, "sh", "-c", script], { as, env });
    const [names, home, files, kind] = stdout.split("\n");
    expect(names).toBe("HOME LC_ALL LOGNAME PATH PWD USER ");
    expect([home, files]).toEqual(["/root", "1"]);
    expect(kind).not.toBe("tmpfs");
  });

  test("no process of the sandbox has host id 0", async () => {
    const child = world.begin(["-z", world.template, "sh", "-c", "sleep 60 & echo up; read line"], { as });
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    const ids =
      readFileSync(`/proc/${child.pid}/status`, "utf8")
        .match(/^[UG]id:.*$/gm)
        ?.join(" ") ?? "";
    expect(ids).toMatch(/^Uid:/);
    const all = await must(["ps", "-o", "uid=,gid=", "--ppid", String(child.pid), "-p", String(child.pid)]);
    for (const line of [
      ...all.trim().split("\n"),
      ...ids
        .replace(/[UG]id:/g, "")
        .trim()
        .split(/\s+/),
    ])
      expect(line.trim()).not.toMatch(/^0\b/);
    child.stdin?.end("\n");
    await world.settled();
  });
});

test("files that root's sandbox writes into a -d directory belong to root on the host, whatever their owner inside", async () => {
  const { code, stderr } = await world.isolate(
    ["-z", world.template, "-d", `${scratch}:/mnt`, "sh", "-c", "touch /mnt/a; install -o 33 /dev/null /mnt/b"],
    { as: root },
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(await must(["stat", "-c", "%u", join(scratch, "a"), join(scratch, "b")])).toBe("0\n33\n");
});

test("root's sandbox cannot read files that only root can read, unless they were bound", async () => {
  expect(
    (await world.isolate(["-z", world.template, "-d", `${scratch}:/mnt`, "ls", "/proc/1/root/root"], { as: root }))
      .stdout,
  ).not.toContain("mnt");
  expect(existsSync(join(scratch, "c"))).toBe(false);
});

describe("-u and -g", () => {
  const [uid, gid] = [1_000_000, 2_000_000];
  const bases = ["-u", String(uid), "-g", String(gid)];
  const owners = (...paths: string[]) => must(["stat", "-c", "%u:%g", ...paths]);

  test("choose the ids that root inside has on the host, which own its files there", async () => {
    const shared = join(scratch, "shared");
    mkdirSync(shared);
    chmodSync(shared, 0o777);
    const { stdout, stderr, code } = await world.isolate(
      [
        ...["-z", world.template, "-d", `${shared}:/mnt`, ...bases, "sh", "-c"],
        "id -u; id -g; touch /mnt/a; install -o 33 -g 65535 /dev/null /mnt/b; chown 33 /etc/passwd; stat -c %u:%g /etc/shadow /etc/passwd; touch /root/mine; tr -s ' ' </proc/self/gid_map",
      ],
      { as: root },
    );
    expect({ stdout, stderr, code }).toEqual({
      stdout: `0\n0\n0:42\n33:0\n 0 ${gid} 65536\n`,
      stderr: "",
      code: 0,
    });
    expect(await owners(join(shared, "a"), join(shared, "b"))).toBe(`${uid}:${gid}\n${uid + 33}:${gid + 65535}\n`);
    await world.settled();
  });

  test("leave nothing behind: no pinned namespace, no directory", async () => {
    const pins = () => mountsBelow(world.runtime).filter((path) => path.includes("/userns."));
    await world.isolate(["-z", world.template, "true"], { as: root });
    const before = pins();
    for (const base of ["1000000", "3000000", "2147418112"])
      expect((await world.isolate(["-z", world.template, "-u", base, "true"], { as: root })).code).toBe(0);
    await world.settled();
    expect(pins()).toEqual(before);
    const descriptors = () => readdirSync(`/proc/${world.daemonPid()}/fd`).length;
    const few = descriptors();
    for (let round = 0; round < 5; round++)
      await world.isolate(["-z", world.template, "-u", "1000000", "true"], { as: root });
    await world.settled();
    expect(descriptors()).toBeLessThan(few + 5);
  });

  test("are the ids that the host sees for its processes, and never 0", async () => {
    const child = world.begin(["-z", world.template, ...bases, "sh", "-c", "sleep 60 & echo up; read line"], {
      as: root,
    });
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    const seen = await must(["ps", "-o", "uid=,gid=", "-p", String(child.pid), "--ppid", String(child.pid)]);
    expect(
      new Set(
        seen
          .trim()
          .split("\n")
          .map((line) => line.trim().split(/\s+/).join(":")),
      ),
    ).toEqual(new Set([`${uid}:${gid}`]));
    child.stdin?.end("\n");
    await world.settled();
  });

  test("work with -t: a root filesystem keeps its owners, container ids or the given ids", async () => {
    const directory = join(scratch, "root");
    for (const place of ["bin", "proc", "dev", "tmp", "home"]) mkdirSync(join(directory, place), { recursive: true });
    const tool = join(projectRoot, "dist/test/try-syscall");
    await must(["cp", tool, join(directory, "bin/try")]);
    const made = (name: string) => ["-t", directory, ...bases, "/bin/try", "create", `/${name}`];
    expect((await world.isolate(made("a"), { as: root })).stdout).toBe("OK\n");
    expect(await owners(join(directory, "a"))).toBe("0:0\n");
    await must(["chown", "-R", `${uid}:${gid}`, directory]);
    expect((await world.isolate(made("b"), { as: root })).stdout).toBe("OK\n");
    expect(await owners(join(directory, "b"))).toBe(`${uid}:${gid}\n`);
  });

  test("that host users have are refused on a terminal, which those users could take over; unused ids are not", async () => {
    const onTerminal = (base: string) => {
      const command = `${program("isolate")} -z ${world.template} -u ${base} id -u`;
      return run(["script", "-qec", command, "/dev/null"], { env: { ISOLATE_SOCKET: world.socket } });
    };
    const refused = await onTerminal("61102");
    expect(refused.code).toBe(125);
    expect(refused.stdout).toContain("cannot map IDs with -u 61102 on a terminal");
    expect(await onTerminal("1000000000")).toMatchObject({ code: 0, stdout: "0\r\n" });
  });

  test("warn about ids that host users have, even with -q", async () => {
    const outcome = await world.isolate(["-q", "-z", world.template, "-u", "1000", "id", "-u"], { as: root });
    expect(outcome).toMatchObject({ code: 0, stdout: "0\n" });
    expect(outcome.stderr).toContain("the sandbox can take on the ids of host users");
  });
});

test("two users' ids never overlap on the host", async () => {
  const mapOf = async (as: typeof alice) =>
    (await world.isolate(["-z", world.template, "cat", "/proc/self/uid_map"], { as })).stdout;
  const extents = [];
  for (const as of [alice, bob, root]) {
    for (const line of (await mapOf(as)).trim().split("\n")) {
      const [, first = 0, count = 0] = line.trim().split(/\s+/).map(Number);
      extents.push([first, first + count - 1] as const);
    }
  }
  const sorted = extents.sort((a, b) => a[0] - b[0]);
  for (const [index, [first]] of sorted.entries())
    if (index > 0) expect(first).toBeGreaterThan(sorted[index - 1]?.[1] ?? 0);
  expect(sorted[0]?.[0]).toBeGreaterThan(0);
});
