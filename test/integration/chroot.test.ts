/** `-e chroot`: package work by root in a directory or a clone. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { debianTar } from "../support/debian-root.ts";
import { eventually, must, root } from "../support/process.ts";
import { alice, createWorld, type World } from "../support/world.ts";

let world: World;
/** A root filesystem that belongs to root. */
let directory: string;

beforeAll(async () => {
  world = await createWorld();
  directory = mkdtempSync(join(tmpdir(), "isolate-chroot-"));
  await must(["tar", "-C", directory, "-xpf", await debianTar()], { patience: 900_000 });
}, 1_800_000);
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true });
  await world.close();
}, 300_000);

const mounts = (): string => readFileSync("/proc/1/mountinfo", "utf8");
const chroot = (args: readonly string[], options = {}) =>
  world.isolate(["-e", "chroot", ...args], { as: root, ...options });
const warning = "the engine 'chroot' does not isolate";

test("-t: keeps the changes, which belong to root", async () => {
  const { code, stderr } = await chroot(["-t", directory, "sh", "-c", "touch /m; chown 33:33 /m; touch /tmp/t"]);
  expect(code).toBe(0);
  expect(stderr).toContain(warning);
  expect(await must(["stat", "-c", "%u:%g", join(directory, "m"), join(directory, "tmp/t")])).toBe("33:33\n0:0\n");
});

test("-z: runs in a clone that is discarded afterwards", async () => {
  expect((await chroot(["-z", world.template, "touch", "/var/m"])).code).toBe(0);
  expect((await chroot(["-z", world.template, "test", "-e", "/var/m"])).code).toBe(1);
  await world.settled();
});

test("has /proc, /dev, /sys and the host's names and network in place", async () => {
  const script =
    "test -d /proc/self && test -c /dev/null && test -d /sys/kernel && ls /dev/pts >/dev/null && echo there; readlink /proc/self/ns/net; md5sum </etc/resolv.conf";
  const { stdout } = await chroot(["-t", directory, "sh", "-c", script]);
  const network = await must(["readlink", "/proc/self/ns/net"]);
  expect(stdout).toBe(`there\n${network}${await must(["sh", "-c", "md5sum </etc/resolv.conf"])}`);
});

test("can install and remove packages", async () => {
  const script = `set -e
mkdir -p /tmp/p/DEBIAN /tmp/p/usr/share/p
printf 'Package: p\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@x>\\nDescription: x\\n' >/tmp/p/DEBIAN/control
printf '#!/bin/sh\\nset -e\\nuseradd --system p\\nchown p /usr/share/p\\n' >/tmp/p/DEBIAN/postinst
chmod 755 /tmp/p/DEBIAN/postinst
dpkg-deb -b /tmp/p /tmp/p.deb
dpkg -i /tmp/p.deb
stat -c %U /usr/share/p
apt-get purge -y p`;
  const { code, stdout } = await chroot(["-z", world.template, "sh", "-c", script]);
  expect(stdout).toContain("\np\n");
  expect(code).toBe(0);
});

test("always warns, even with -q", async () => {
  const { stdout, stderr } = await chroot(["-q", "-t", directory, "true"]);
  expect(stdout).toBe("");
  expect(stderr).toContain(warning);
});

describe("isolation that remains", () => {
  test("no process runs as the host's root or can write kernel settings", async () => {
    const script = "cat /proc/self/uid_map; echo x >/proc/sys/kernel/core_pattern; echo h >/proc/sysrq-trigger; true";
    const { stdout, stderr } = await chroot(["-t", directory, "sh", "-c", script]);
    const [, host] = stdout.trim().split(/\s+/);
    expect(Number(host)).toBeGreaterThan(0);
    expect(stderr.match(/cannot create|Permission denied|Read-only/g)?.length).toBeGreaterThanOrEqual(2);
  });

  test("cannot escape by nested chroot(2) or through pid 1", async () => {
    // A chroot below the present root leaves the working directory outside of it: chroot(2), NOTES.
    const climb = `mkdir "/x"; chroot "/x" or die; chdir ".." for 1..100; chroot "." or die; print -e "${directory}" ? "out" : "in"`;
    expect((await chroot(["-t", directory, "perl", "-e", climb])).stdout).toBe("in");
    expect((await chroot(["-t", directory, "test", "-e", `/proc/1/root${directory}`])).code).toBe(1);
  });

  test("runs under the system call filter", async () => {
    expect((await chroot(["-t", directory, "grep", "^Seccomp:\\|NoNewPrivs", "/proc/self/status"])).stdout).toBe(
      "NoNewPrivs:\t1\nSeccomp:\t2\n",
    );
  });
});

describe("leaves nothing", () => {
  test("mounted, however it ends", async () => {
    const before = mounts();
    expect((await chroot(["-t", directory, "sh", "-c", "exit 3"])).code).toBe(3);
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const mark = join(directory, "tmp/up");
      const script = "(setsid sleep 1000 &); touch /tmp/up; sleep 1000";
      const child = world.begin(["-e", "chroot", "-t", directory, "sh", "-c", script], { as: root });
      await eventually("it runs", () => existsSync(mark));
      rmSync(mark);
      child.kill(signal);
      await eventually("nothing of it runs", async () => {
        const found = await must(["sh", "-c", `grep -l ${directory} /proc/[0-9]*/mountinfo 2>/dev/null | wc -l`]);
        return found.trim() === "0";
      });
    }
    expect(mounts()).toBe(before);
  });
});

test("is for root only, and refuses unsupported options", async () => {
  const asAlice = await chroot(["-z", world.template, "true"], { as: alice });
  expect(asAlice).toMatchObject({ code: 125, stdout: "" });
  expect(asAlice.stderr).toBe(
    "isolate: cannot use the engine 'chroot': only root may\n  run the same command with sudo\n",
  );
  for (const option of [
    ["-d", "/tmp:/mnt"],
    ["-v", "A:b"],
    ["-p", "/etc"],
  ]) {
    const { code, stderr } = await chroot([...option, "-z", world.template, "true"]);
    expect(code).toBe(125);
    expect(stderr).toContain(`the engine 'chroot' cannot honour ${option[0]}`);
  }
  expect(await world.settled()).toBeTruthy();
});
