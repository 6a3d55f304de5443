/** What the doctor says of hosts that we do not have. */
import { describe, expect, test } from "@jest/globals";
import type { Check } from "../../../../../client/full/doctor/check.ts";
import type { Facts } from "../../../../../client/full/doctor/facts.ts";
import { isWell, judge } from "../../../../../client/full/doctor/judge.ts";
import { rangesOf, readDistribution, readPools, readUnits } from "../../../../../client/full/doctor/parse.ts";

const gibibyte = 2 ** 30;
const pool = {
  template: "debian",
  driver: "overlay",
  missing: false,
  snapshot: "debian@1",
  size: 5,
  creating: 0,
  ready: 5,
  leased: 0,
  retired: 0,
  failed: 0,
  lastError: null,
  bytes: 1,
  written: 1,
  countedAt: null,
};
const onZfs = { ...pool, template: "rpool/isolate/debian", driver: "zfs", snapshot: "rpool/isolate/debian@1" };
const health = {
  version: "1.0",
  storage: [
    { driver: "zfs", wrong: null, fix: null },
    { driver: "overlay", wrong: null, fix: null },
  ],
  space: [{ place: "the state directory", free: 10 * gibibyte, total: 20 * gibibyte }],
  limits: { leasesPerUser: 64, held: 0 },
  ids: { base: 0x70000000, wrong: null as string | null, fix: null as string | null },
};
const unit = { name: "isolated.socket", load: "loaded", active: "active", file: "enabled", needsReload: false };
const unreachable = {
  answers: false,
  code: "not-running",
  message: "cannot reach the daemon",
  hint: "start it",
} as const;

const network = { scopesSockets: true, programs: ["nft", "pasta"], tun: true, defaultRoute: true };

const template = { template: "p/t", driver: "zfs", snapshot: "p/t@1", created: null, bytes: 1, below: [] };

/** A host on which all is well. */
const good: Facts = {
  caller: { uid: 1000, name: "ann", groups: [1000, 990], groupsAtLogin: [1000, 990] },
  distribution: ["ubuntu", "debian"],
  kernel: "6.12.48-amd64",
  inContainer: false,
  userNamespaces: { most: 100, unprivileged: undefined, appArmorRestricts: false },
  sandbox: { ok: true },
  seccompActions: ["kill_process", "errno", "allow"],
  bwrap: { path: "/usr/bin/bwrap", version: "0.12.1", setuid: false },
  network,
  helpers: [{ name: "isolate-init", path: "/usr/lib/isolate/isolate-init", looked: [] }],
  zfs: { module: "2.3.4-1", commands: true, pools: [{ name: "rpool", health: "ONLINE", capacity: 20 }] },
  overlayKnown: true,
  stateFileSystem: { path: "/var/lib", type: "ext4" },
  group: { name: "isolate", gid: 990 },
  subordinate: { uids: [65536], gids: [65536] },
  socket: "/run/isolate/isolated.sock",
  daemon: { answers: true, health, pools: [pool], templates: [] },
  clientVersion: "1.0",
  units: [unit, { ...unit, name: "isolated.service", file: "static" }],
  desktop: [{ name: "x11", variable: "DISPLAY", path: "/tmp/.X11-unix/X0", answers: true }],
  run: { template: "debian", trial: { ok: true } },
};

const said = (facts: Partial<Facts>, name: string): Check | undefined =>
  judge({ ...good, ...facts }).find((check) => check.name === name && check.state !== "ok");

test("a host on which all is well has nothing but ok", () => {
  expect(judge(good).filter(({ state }) => state !== "ok")).toEqual([]);
  expect(isWell(judge(good))).toBe(true);
});

test("well is only where a run was tried and works, whatever else is ok", () => {
  expect(isWell(judge({ ...good, run: undefined }))).toBe(false);
  expect(isWell(judge({ ...good, run: { template: "debian", trial: { ok: false, said: "no" } } }))).toBe(false);
  expect(isWell(judge({ ...good, kernel: "5.4.0" }))).toBe(false);
  expect(isWell(judge({ ...good, bwrap: { path: "/usr/bin/bwrap", version: "0.8.0", setuid: false } }))).toBe(true);
});

const sysctl = (text: string) => `sudo sh -c 'echo "${text}" > /etc/sysctl.d/60-isolate.conf && sysctl --system'`;
const { userNamespaces, caller, zfs } = good;
const dead = { ok: false, said: "bwrap: setting up uid map: Permission denied" } as const;
const withHealth = (more: Partial<typeof health>, pools: readonly (typeof pool)[] = [pool]): Partial<Facts> => ({
  daemon: { answers: true, health: { ...health, ...more }, pools: pools as never, templates: [] },
});
const withPool = (more: object) => withHealth({}, [{ ...pool, ...more }]);

describe("what does not work fails, with the command that fixes it", () => {
  const cases: [what: string, facts: Partial<Facts>, name: string, message: RegExp, fix: string | undefined][] = [
    ["an old kernel", { kernel: "5.10.0-32-amd64" }, "kernel", /5\.12/, undefined],
    [
      "no user namespaces at all",
      { userNamespaces: { ...userNamespaces, most: 0 }, sandbox: dead },
      "user namespaces",
      /max_user_namespaces is 0/,
      sysctl("user.max_user_namespaces = 15000"),
    ],
    [
      "Debian's switch",
      { userNamespaces: { ...userNamespaces, unprivileged: false }, sandbox: dead },
      "user namespaces",
      /may not create them/,
      sysctl("kernel.unprivileged_userns_clone = 1"),
    ],
    [
      "Ubuntu's AppArmor",
      { userNamespaces: { ...userNamespaces, appArmorRestricts: true }, sandbox: dead },
      "user namespaces",
      /AppArmor .*setting up uid map/,
      sysctl("kernel.apparmor_restrict_unprivileged_userns = 0"),
    ],
    ["a container around us", { sandbox: dead, inContainer: true }, "user namespaces", /container/, undefined],
    ["no seccomp", { seccompActions: [] }, "seccomp", /CONFIG_SECCOMP_FILTER/, undefined],
    ["no bwrap on Ubuntu", { bwrap: undefined }, "bwrap", /not installed/, "sudo apt-get install bubblewrap"],
    [
      "no bwrap on Gentoo, as root",
      { bwrap: undefined, distribution: ["gentoo"], caller: { ...caller, uid: 0 } },
      "bwrap",
      /not installed/,
      "emerge sys-apps/bubblewrap",
    ],
    [
      "no bwrap where we do not know how",
      { bwrap: undefined, distribution: ["x"] },
      "bwrap",
      /not installed/,
      undefined,
    ],
    [
      "a set-user-id bwrap",
      { bwrap: { path: "/usr/bin/bwrap", version: "0.11.0", setuid: true } },
      "bwrap",
      /set-user-id/,
      "sudo chmod u-s /usr/bin/bwrap",
    ],
    ["an old bwrap", { bwrap: { path: "/b", version: "0.4.1", setuid: false } }, "bwrap", /too old/, undefined],
    [
      "no isolate-monitor",
      { helpers: [{ name: "isolate-monitor", path: undefined, looked: ["/a", "/b"] }] },
      "isolate-monitor",
      /\/a or \/b/,
      undefined,
    ],
    [
      "no group",
      { group: { name: "isolate", gid: undefined } },
      "group",
      /no group 'isolate'/,
      "sudo groupadd --system isolate",
    ],
    [
      "no member",
      { caller: { ...caller, groups: [1000], groupsAtLogin: [1000] } },
      "group",
      /not in 'isolate'; run this, then log in again/,
      "sudo usermod -aG isolate ann",
    ],
    [
      "a login of before",
      { caller: { ...caller, groups: [1000] } },
      "group",
      /not yet in this login/,
      "newgrp isolate",
    ],
    [
      "a daemon that does not run",
      { daemon: unreachable },
      "daemon",
      /cannot reach/,
      "sudo systemctl enable --now isolated.socket",
    ],
    ["the same without systemd", { daemon: unreachable, units: undefined }, "daemon", /cannot reach/, "sudo isolated"],
    [
      "a socket unit that does not listen",
      { daemon: unreachable, units: [{ ...unit, active: "inactive" }] },
      "units",
      /does not listen/,
      "sudo systemctl enable --now isolated.socket",
    ],
    [
      "a masked unit",
      { daemon: unreachable, units: [{ ...unit, load: "masked" }] },
      "units",
      /masked/,
      "sudo systemctl unmask isolated.socket",
    ],
    [
      "a service that failed",
      { daemon: unreachable, units: [unit, { ...unit, name: "isolated.service", active: "failed" }] },
      "units",
      /journalctl -u isolated\.service/,
      "sudo systemctl reset-failed isolated.service && sudo systemctl start isolated.socket",
    ],
    [
      "ZFS templates without the module",
      { zfs: { ...zfs, module: undefined }, ...withHealth({}, [onZfs]) },
      "zfs",
      /rpool\/isolate\/debian need it/,
      "sudo modprobe zfs",
    ],
    [
      "a suspended pool",
      { zfs: { ...zfs, pools: [{ name: "rpool", health: "SUSPENDED", capacity: 1 }] }, ...withHealth({}, [onZfs]) },
      "zfs",
      /rpool is suspended/,
      "zpool status -v rpool",
    ],
    [
      "an overlay store that the daemon cannot use, with templates in it",
      withHealth({ storage: [{ driver: "overlay", wrong: "cannot serve", fix: "put it on ext4" } as never] }),
      "overlay store",
      /cannot serve; put it on ext4/,
      undefined,
    ],
    [
      "no template",
      withHealth({}, []),
      "templates",
      /there is no template/,
      "sudo isolate template create debian --debian trixie",
    ],
    [
      "a template without a snapshot",
      withPool({ snapshot: null, lastError: "it has no snapshot yet" }),
      "templates",
      /no snapshot/,
      "sudo isolate template snapshot debian",
    ],
    [
      "a template that was destroyed or renamed",
      withPool({ template: "p/my images", missing: true, snapshot: null, lastError: "cannot find it" }),
      "templates",
      /no such template/,
      "sudo isolate -r 'p/my images' 0",
    ],
    [
      "a pool that cannot be filled",
      withPool({ ready: 0, lastError: "cannot make the clone" }),
      "templates",
      /cannot make the clone/,
      "sudo isolate -r debian 5",
    ],
    [
      "no space",
      withHealth({ space: [{ place: "rpool/isolate", free: 1000, total: gibibyte }] }),
      "space",
      /0 MiB free of 1024/,
      "zfs list -o space -r rpool/isolate",
    ],
    ["the own limit", withHealth({ limits: { leasesPerUser: 2, held: 2 } }), "limit", /you hold 2/, "isolate ps"],
    [
      "ids that belong to somebody",
      withHealth({ ids: { base: 1, wrong: "the ids are ann's", fix: "set ids.base" } }),
      "given ids",
      /^the ids are ann's; set ids.base$/,
      undefined,
    ],
    [
      "a run that fails",
      { run: { template: "t", trial: { ok: false, said: "why" } } },
      "run",
      /-z t true: why/,
      undefined,
    ],
  ];
  test.each(cases)("%s", (_what, facts, name, message, fix) => {
    const check = said(facts, name);
    expect(check).toMatchObject({ state: "fail", message: expect.stringMatching(message) });
    expect(check?.fix).toBe(fix);
    expect(isWell(judge({ ...good, ...facts }))).toBe(false);
  });
});

describe("what works all the same is a note", () => {
  const cases: [what: string, facts: Partial<Facts>, name: string, message: RegExp][] = [
    ["a kernel for ZFS alone", { kernel: "5.15.0-1-amd64" }, "kernel", /5\.19/],
    ["CVE-2026-87766", { bwrap: { path: "/b", version: "0.11.0", setuid: false } }, "bwrap", /CVE-2026-87766/],
    [
      "a kernel without Landlock's scopes",
      { network: { ...network, scopesSockets: false } },
      "abstract sockets",
      /6\.12/,
    ],
    ["no pasta", { network: { ...network, programs: ["nft"] } }, "private network", /needs passt$/],
    [
      "slirp4netns alone",
      { network: { ...network, programs: ["nft", "slirp4netns"] } },
      "private network",
      /IPv4 only/,
    ],
    [
      "no default route, for pasta",
      { network: { ...network, defaultRoute: false } },
      "private network",
      /no default route.*slirp4netns does not$/,
    ],
    [
      "no default route, with slirp4netns",
      { network: { ...network, programs: ["nft", "pasta", "slirp4netns"], defaultRoute: false } },
      "private network",
      /^isolate uses slirp4netns/,
    ],
    ["no tun", { network: { ...network, tun: false } }, "private network", /\/dev\/net\/tun/],
    ["no ZFS", { zfs: { module: undefined, commands: false, pools: undefined } }, "zfs", /overlay store/],
    [
      "a degraded pool",
      { zfs: { ...zfs, pools: [{ name: "rpool", health: "DEGRADED", capacity: 1 }] }, ...withHealth({}, [onZfs]) },
      "zfs",
      /degraded/,
    ],
    [
      "a pool that is nearly full",
      { zfs: { ...zfs, pools: [{ name: "rpool", health: "ONLINE", capacity: 95 }] }, ...withHealth({}, [onZfs]) },
      "zfs",
      /95 % full/,
    ],
    ["another version", withHealth({ version: "0.9" }), "daemon", /0\.9 and this client 1\.0/],
    ["units that are not there, with a daemon", { units: [{ ...unit, load: "not-found" }] }, "units", /by hand/],
    ["a socket that is not enabled", { units: [{ ...unit, file: "disabled" }] }, "units", /next boot/],
    ["changed unit files", { units: [{ ...unit, needsReload: true }] }, "units", /have changed/],
    [
      "a range that is too small",
      { subordinate: { uids: [1000], gids: [65536] } },
      "subordinate ids",
      /\/etc\/subuid:/,
    ],
    [
      "datasets below a template",
      { daemon: { answers: true, health, pools: [pool], templates: [{ ...template, below: ["p/t/home"] }] } },
      "templates",
      /below it are not in its clones: p\/t\/home/,
    ],
    ["an old error of a pool that works", withPool({ lastError: "busy" }), "templates", /busy/],
    [
      "no X",
      { desktop: [{ name: "x11", variable: undefined, path: undefined, answers: false }] },
      "X",
      /not available/,
    ],
    [
      "an X that does not answer",
      { desktop: [{ name: "x11", variable: "DISPLAY", path: "/tmp/.X11-unix/X7", answers: false }] },
      "X",
      /nobody answers/,
    ],
  ];
  test.each(cases)("%s", (_what, facts, name, message) => {
    expect(said(facts, name)).toMatchObject({ state: "note", message: expect.stringMatching(message) });
    expect(isWell(judge({ ...good, ...facts }))).toBe(true);
  });
});

test("what a private network lacks is installed by one line, in the distribution's own words", () => {
  const fix = (distribution: readonly string[], programs: readonly string[]): string | undefined =>
    said({ distribution, network: { ...network, programs } }, "private network")?.fix;
  expect(fix(["debian"], [])).toBe("sudo apt-get install nftables && sudo apt-get install passt");
  expect(fix(["gentoo"], ["nft"])).toBe("sudo emerge net-misc/passt");
  expect(fix(["nixos"], ["pasta"])).toBeUndefined();
});

test("another pool's illness is none of ours", () => {
  const pools = [
    { name: "rpool", health: "ONLINE", capacity: 1 },
    { name: "tank", health: "FAULTED", capacity: 99 },
  ];
  expect(said({ zfs: { ...zfs, pools }, ...withHealth({}, [onZfs]) }, "zfs")).toBeUndefined();
});

test("what cannot be seen from here is neither ok nor a failure, and says how to see it", () => {
  expect(said({ zfs: { ...zfs, pools: undefined } }, "zfs")).toEqual({
    name: "zfs",
    state: "unchecked",
    message: "not checked: needs root",
    fix: "sudo isolate doctor",
  });
  const blind = judge({ ...good, daemon: unreachable, run: undefined });
  expect(blind.filter(({ state }) => state === "unchecked").map(({ name }) => name)).toEqual([
    "overlay store",
    "templates",
    "space",
    "run",
  ]);
});

describe("what a host says of itself", () => {
  test("os-release(5)", () => {
    expect(readDistribution('NAME="x"\nID=ubuntu\nID_LIKE="debian other"\nVERSION_ID=1\n')).toEqual([
      "ubuntu",
      "debian",
      "other",
    ]);
    expect(readDistribution("")).toEqual([]);
  });

  test("subuid(5)", () => {
    expect(rangesOf("ann:1:65536\n1000:9:5\nbob:7:3\n#ann:1:1\n", "ann", 1000)).toEqual([65536, 5]);
  });

  test("systemctl show", () => {
    const text =
      "Id=isolated.socket\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\n\nId=isolated.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\nNeedDaemonReload=yes\n";
    expect(readUnits(text)).toEqual([
      unit,
      { name: "isolated.service", load: "not-found", active: "inactive", file: "", needsReload: true },
    ]);
  });

  test("zpool list", () => {
    expect(readPools("rpool\tONLINE\t12\ntank\tDEGRADED\t-\n")).toEqual([
      { name: "rpool", health: "ONLINE", capacity: 12 },
      { name: "tank", health: "DEGRADED", capacity: 0 },
    ]);
  });
});
