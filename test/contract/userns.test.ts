/** Pinned user namespaces, and the kernel's own decision who may use them. Needs root. */

import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { UserNamespaces } from "../../daemon/idmap/userns.ts";
import { mount, unmountLazily } from "../../daemon/linux/mounts.ts";
import { eventually, finished, must, run, start } from "../support/process.ts";
import { makeDirectory, openNamespaces, other, owner, removeDirectory } from "./lessee.ts";

const given = new Map<number, number>();
const opened: UserNamespaces[] = [];
let directory: string;
let runtime: string;

beforeEach(() => {
  directory = makeDirectory();
  runtime = join(directory, "run");
  writeFileSync(join(directory, "subuid"), `${owner.uid}:1000000:65536\n`);
  given.clear();
});
afterEach(async () => {
  for (const namespaces of opened.splice(0)) namespaces.close();
  await removeDirectory(directory);
});

function open(): UserNamespaces {
  const namespaces = openNamespaces(runtime, join(directory, "subuid"), given);
  opened.push(namespaces);
  return namespaces;
}

const enter = (file: string, ...command: string[]) => [
  "nsenter",
  `--user=${file}`,
  "-S",
  "0",
  "-G",
  "0",
  "--",
  ...command,
];
const mountsBelow = () =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(` ${directory}/`));
const peerGroup = (path: string) =>
  /shared:([0-9]+)/.exec(mountsBelow().find((line) => line.includes(` ${path} `)) ?? "")?.[1];

test("the owner joins it and is root of its ids; the maps are as planned", async () => {
  const { userns, directory: home, uid, gid } = await open().for(owner);
  expect([userns, home, uid, gid]).toEqual([
    `${home}/userns.${owner.gid}`,
    `${runtime}/users/${owner.uid}`,
    owner.uid,
    owner.gid,
  ]);
  const maps = await must(enter(userns, "sh", "-c", "id -u; cat /proc/self/uid_map /proc/self/gid_map"), { as: owner });
  const map = [
    ["0", String(owner.uid), "1"],
    ["1", "1000000", "65535"],
  ];
  expect(
    maps
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/)),
  ).toEqual([["0"], ...map, ...map]);
});

test("no other user reaches the file, or joins the namespace even by a descriptor", async () => {
  const { userns, directory: home } = await open().for(owner);
  for (const path of [userns, home]) {
    expect((await run(["stat", path], { as: owner })).code).toBe(0);
    expect((await run(["ls", path], { as: other })).stderr).toMatch(/Permission denied/);
  }
  const command = [
    "sh",
    "-c",
    `exec setpriv --reuid ${other.uid} --regid ${other.gid} --clear-groups nsenter --user=/proc/self/fd/9 id 9<${userns}`,
  ];
  expect((await run(command)).stderr).toMatch(/Operation not permitted|Permission denied/);
});

test("the owner cannot change the directory", async () => {
  const { userns, directory: home } = await open().for(owner);
  for (const script of [
    `: > ${home}/x`,
    `rm ${userns}`,
    `mv ${userns} ${home}/y`,
    `chmod 777 ${home}`,
    `rmdir ${home}`,
  ]) {
    expect((await run(["sh", "-c", script], { as: owner })).code).not.toBe(0);
  }
});

test("parallel calls share one; another primary group has its own", async () => {
  const namespaces = open();
  const [one, two, three] = await Promise.all([
    namespaces.for(owner),
    namespaces.for(owner),
    namespaces.for({ ...owner, gid: 7 }),
  ]);
  expect(one).toBe(two);
  expect(three).toMatchObject({ userns: `${one.directory}/userns.7`, uid: owner.uid, gid: 7 });
  expect(statSync(three.userns).ino).not.toBe(statSync(one.userns).ino);
  expect(mountsBelow()).toHaveLength(3);
});

test("root gets a range from the daemon and is not host 0; users without a range get other ranges", async () => {
  const namespaces = open();
  const callers = [{ uid: 0, gid: 0 }, other, { uid: 61203, gid: 61203 }];
  const [root, second, third] = await Promise.all(callers.map((caller) => namespaces.for(caller)));
  const starts = [given.get(0), given.get(other.uid), given.get(61203)];
  expect(new Set(starts).size).toBe(3);
  expect([root?.uid, root?.gid, root?.directory]).toEqual([starts[0], starts[0], `${runtime}/users/${starts[0]}`]);
  expect([second?.uid, third?.uid]).toEqual([other.uid, 61203]);
  const dropped = { uid: root?.uid ?? 0, gid: root?.gid ?? 0, groups: [] };
  expect(await must(enter(root?.userns ?? "", "cat", "/proc/self/uid_map"), { as: dropped })).toMatch(
    new RegExp(`^\\s*0\\s+${starts[0]}\\s+65536\n$`),
  );
});

test("the helper that made it is gone", async () => {
  const { fd } = await open().for(owner);
  const users = await must(["sh", "-c", "for p in /proc/[0-9]*; do readlink $p/ns/user; done; true"]);
  expect(users).not.toContain(await must(["readlink", `/proc/${process.pid}/fd/${fd}`]));
});

test("a restart of the daemon keeps the views that are in use, and pins again", async () => {
  const before = await open().for(owner);
  const view = join(before.directory, "view");
  mkdirSync(view);
  mount("tmpfs", view, "tmpfs", 0, null);
  writeFileSync(join(view, "kept"), "");
  opened.pop()?.close();
  const count = mountsBelow().length;

  const after = await open().for(owner);
  expect(mountsBelow()).toHaveLength(count);
  expect((await run(["ls", view], { as: owner })).stdout).toBe("kept\n");
  expect(after.userns).toBe(before.userns);
  expect(await must(enter(after.userns, "id", "-u"), { as: owner })).toBe("0\n");
});

test.each(["shared", "private"])(
  "unmounting reaches the copies in other namespaces, below a %s mount too",
  async (above) => {
    mkdirSync(runtime);
    await must(["mount", "--bind", runtime, runtime]);
    await must(["mount", `--make-${above}`, runtime]);
    const { directory: home } = await open().for(owner);
    expect(peerGroup(join(runtime, "users"))).toMatch(/^[0-9]+$/);
    expect(peerGroup(join(runtime, "users"))).not.toBe(peerGroup(runtime));
    const view = join(home, "view");
    mkdirSync(view);
    mount("tmpfs", view, "tmpfs", 0, null);
    expect(mountsBelow().filter((line) => line.includes(` ${view} `))).toHaveLength(1);
    // Like a service, whose mount namespace is a slave of the host's (systemd.exec(5), MountFlags).
    const service = start(["unshare", "-m", "--propagation", "slave", "sleep", "60"]);
    const ended = finished(service);
    try {
      const seen = () => readFileSync(`/proc/${service.pid}/mounts`, "utf8").includes(view);
      await eventually("the service sleeps", () => readFileSync(`/proc/${service.pid}/comm`, "utf8") === "sleep\n");
      expect(seen()).toBe(true);
      unmountLazily(view);
      expect(seen()).toBe(false);
    } finally {
      service.kill("SIGKILL");
      await ended;
    }
  },
);

test("a planted file or directory is refused", async () => {
  mkdirSync(join(runtime, "users"), { recursive: true });
  const namespaces = open();
  symlinkSync("/etc", join(runtime, "users", String(owner.uid)));
  await expect(namespaces.for(owner)).rejects.toMatchObject({ code: "cannot-start" });
  await must(["chown", String(other.uid), join(runtime, "users")]);
  expect(() => openNamespaces(runtime, "/dev/null")).toThrow(/cannot start: .*users is owned by user 61202/);
});

test("ids that accounts have are not allocated, and parallel callers get different ids", async () => {
  const first = 0x70000000;
  const asked: number[] = [];
  const accountWithin = async (start: number) => {
    asked.push(start);
    return start < first + 2 * 65536 ? "the user 'ann' (1879048200)" : undefined;
  };
  given.set(owner.uid, first); // before accounts were asked about
  writeFileSync(join(directory, "subuid"), "");
  const namespaces = openNamespaces(runtime, join(directory, "subuid"), given, accountWithin);
  opened.push(namespaces);
  await Promise.all([namespaces.for(owner), namespaces.for(other)]);
  expect([...given.values()].sort()).toEqual([first + 2 * 65536, first + 3 * 65536]);
  expect(new Set(asked).size).toBe(4);
});

test("if accounts have all ids, or the lookup fails, no ids are allocated, and the error names the setting", async () => {
  writeFileSync(join(directory, "subuid"), "");
  const of = (accountWithin: (start: number) => Promise<string | undefined>) => {
    const namespaces = openNamespaces(runtime, join(directory, "subuid"), given, accountWithin);
    opened.push(namespaces);
    return namespaces.for(owner);
  };
  const everywhere = of(async (start) => `the user 'u' (${start})`);
  await expect(everywhere).rejects.toThrow(
    /accounts have ids in each of the 16 ranges from 1879048192 \(ids\.base\), such as/,
  );
  await expect(of(() => Promise.reject(new Error("silent")))).rejects.toThrow("silent");
  expect(given.size).toBe(0);
});

test("a user with ids past 2^31 has a namespace", async () => {
  const large = { uid: 4_294_967_294, gid: 3_000_000_000 };
  const namespaces = openNamespaces(runtime, join(directory, "subuid"), given);
  opened.push(namespaces);
  const { userns } = await namespaces.for(large);
  const map = await run(["nsenter", `--user=${userns}`, "-S", "0", "-G", "0", "cat", "/proc/self/uid_map"], {
    as: { ...large, groups: [] },
  });
  expect(map.stdout.replace(/ +/g, " ")).toContain(" 0 4294967294 1\n");
});
