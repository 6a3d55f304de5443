/** Is the guest as the other system tests assume? If this file fails, fix it before the others. */
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { expect, test } from "@jest/globals";

const pool = process.env.ISOLATE_TEST_ZPOOL ?? "";

function output(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: "utf8" }).trim();
}

function asAlice(...command: string[]): string {
  return output("setpriv", "--reuid=alice", "--regid=alice", "--init-groups", ...command);
}

test("the zpool exists and is healthy", () => {
  expect(output("zpool", "list", "-H", "-o", "name,health", pool)).toBe(`${pool}\tONLINE`);
});

test("OpenZFS is 2.3 or newer, in the kernel and in user space", () => {
  const versions = [...output("zfs", "version").matchAll(/(\d+)\.(\d+)\.\d+/g)].map((match) => [
    Number(match[1]),
    Number(match[2]),
  ]);
  expect(versions).toHaveLength(2);
  for (const [major = 0, minor = 0] of versions) expect(major * 100 + minor).toBeGreaterThanOrEqual(203);
});

test("systemd is process 1", () => {
  expect(readFileSync("/proc/1/comm", "utf8")).toBe("systemd\n");
});

test("no unit failed at boot", () => {
  expect(output("systemctl", "list-units", "--failed", "--plain", "--no-legend")).toBe("");
});

test("cgroups are version 2", () => {
  expect(output("stat", "-f", "-c", "%T", "/sys/fs/cgroup")).toBe("cgroup2fs");
});

test("alice and bob are members of the group isolate, mallory is not", () => {
  const members = ["alice", "bob", "mallory"].filter((user) =>
    output("id", "-nG", user).split(" ").includes("isolate"),
  );
  expect(members).toEqual(["alice", "bob"]);
});

test("only alice has a range of subordinate ids", () => {
  expect(readFileSync("/etc/subuid", "utf8")).toBe("alice:100000:65536\n");
  expect(readFileSync("/etc/subgid", "utf8")).toBe("alice:100000:65536\n");
});

test("alice can start a sandbox with her own user namespace", () => {
  expect(asAlice("bwrap", "--unshare-all", "--ro-bind", "/", "/", "--uid", "0", "id", "-u")).toBe("0");
});

test("the project belongs to root", () => {
  const { uid, gid } = statSync("package.json");
  expect({ uid, gid }).toEqual({ uid: 0, gid: 0 });
});

test("the guest cannot reach a network", () => {
  expect(output("ip", "route", "show", "default")).toBe("");
});
