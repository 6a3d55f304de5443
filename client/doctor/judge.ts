/** From what a host is to what that means for isolate: one function for each thing, and all of them. Pure. */
import type { Facts } from "./facts.ts";
import { asRoot, install, setSysctl } from "./mend.ts";

/**
 * `fail`: a run will not work. `note`: it works, and somebody should know. `unchecked`: it cannot be seen from here.
 */
export type State = "ok" | "note" | "fail" | "unchecked";

export interface Check {
  readonly name: string;
  readonly state: State;
  readonly says: string;
  /** The command that mends it. */
  readonly mend?: string;
}

type Judge = (facts: Facts) => readonly Check[];

/** Whether the main job would run: it was tried, and nothing fails. */
export function isWell(checks: readonly Check[]): boolean {
  return (
    checks.every(({ state }) => state !== "fail") && checks.some(({ name, state }) => name === "run" && state === "ok")
  );
}

export function judge(facts: Facts): Check[] {
  return judges.flatMap((one) => one(facts));
}

const check = (name: string) => {
  const say =
    (state: State) =>
    (says: string, mend?: string): Check =>
      mend === undefined ? { name, state, says } : { name, state, says, mend };
  return { ok: say("ok"), note: say("note"), fail: say("fail"), unchecked: say("unchecked") };
};

function atLeast(version: string, major: number, minor: number): boolean {
  const [, first, second] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(first) > major || (Number(first) === major && Number(second) >= minor);
}

// --- What the client needs.

const kernel: Judge = ({ kernel: release }) => {
  const { ok, note, fail } = check("kernel");
  if (atLeast(release, 5, 19)) return [ok(`Linux ${release} maps the ids of mounts, of an overlay's layers too`)];
  if (atLeast(release, 5, 12)) {
    return [note(`Linux ${release} maps the ids of ZFS's mounts; templates of the overlay store need 5.19`)];
  }
  return [
    fail(
      `Linux ${release} cannot map the ids of a mount, which needs 5.12, and 5.19 for the overlay store; boot a newer kernel`,
    ),
  ];
};

const userNamespaces: Judge = ({ sandbox, userNamespaces: host, inContainer, caller }) => {
  const { ok, fail, unchecked } = check("user namespaces");
  const root = (command: string): string => asRoot(command, caller.uid);
  if (host.most === 0) {
    return [fail("user.max_user_namespaces is 0", root(setSysctl("user.max_user_namespaces = 15000")))];
  }
  if (host.unprivileged === false) {
    return [fail("users may not make them", root(setSysctl("kernel.unprivileged_userns_clone = 1")))];
  }
  if (sandbox === undefined) return [unchecked("cannot be tried without bwrap")];
  if (sandbox.ok) return [ok("an ordinary user's bare sandbox starts")];
  if (host.appArmorRestricts) {
    return [
      fail(
        `AppArmor takes their rights away from programs without a profile (${sandbox.said})`,
        root(setSysctl("kernel.apparmor_restrict_unprivileged_userns = 0")),
      ),
    ];
  }
  const where = inContainer ? "; this is a container, and its manager has to allow it" : "";
  return [fail(`an ordinary user's bare sandbox does not start: ${sandbox.said}${where}`)];
};

const seccomp: Judge = ({ seccompActions }) => {
  const { ok, fail } = check("seccomp");
  return seccompActions.includes("errno")
    ? [ok("the kernel filters system calls")]
    : [fail("the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER); boot one that has")];
};

const bwrap: Judge = ({ bwrap: found, distribution, caller }) => {
  const { ok, note, fail } = check("bwrap");
  if (!found) {
    const command = install("bubblewrap", distribution);
    return [fail("bubblewrap is not installed", command && asRoot(command, caller.uid))];
  }
  const { path, version, setuid } = found;
  if (setuid) {
    return [
      fail(`${path} is set-user-id, and then takes no user namespace of ours`, asRoot(`chmod u-s ${path}`, caller.uid)),
    ];
  }
  if (version === undefined) return [fail(`${path} does not say its version`)];
  if (!atLeast(version, 0, 8)) return [fail(`bubblewrap ${version} is too old: 0.8 or newer is needed`)];
  if (!atLeast(version, 0, 12)) {
    return [
      note(
        `bubblewrap ${version} follows links of the root (CVE-2026-87766, mended in 0.12); isolate resolves them itself`,
      ),
    ];
  }
  return [ok(`bubblewrap ${version}`)];
};

const init: Judge = ({ init: { path, looked } }) => {
  const { ok, fail } = check("isolate-init");
  if (path === undefined) return [fail(`it is not at ${looked.join(" or ")}: install isolate again, whole`)];
  return [ok(path)];
};

// --- The way to the daemon.

const group: Judge = ({ group: { name, gid }, caller }) => {
  const { ok, fail } = check("group");
  if (caller.uid === 0) return [ok("root needs none")];
  if (gid === undefined) return [fail(`there is no group '${name}'`, asRoot(`groupadd --system ${name}`, caller.uid))];
  if (caller.groups.includes(gid)) return [ok(`${caller.name} is in '${name}'`)];
  if (caller.groupsAtLogin.includes(gid)) {
    return [
      fail(`${caller.name} is in '${name}', but not yet in this login: log out and in again, or`, `newgrp ${name}`),
    ];
  }
  return [
    fail(
      `${caller.name} is not in '${name}'; log in again after`,
      asRoot(`usermod -aG ${name} ${caller.name}`, caller.uid),
    ),
  ];
};

const wantedIds = 65535;

const subordinateIds: Judge = ({ subordinate: { uids, gids }, caller }) => {
  const { ok, note } = check("subordinate ids");
  const enough = (counts: readonly number[]): boolean => counts.some((count) => count >= wantedIds);
  if (caller.uid !== 0 && enough(uids) && enough(gids)) return [ok("ids 1 to 65535 inside are of your own ranges")];
  if (caller.uid === 0 || (uids.length === 0 && gids.length === 0))
    return [ok("ids inside are of a range that the daemon gives")];
  const lacking = [...(enough(uids) ? [] : ["/etc/subuid"]), ...(enough(gids) ? [] : ["/etc/subgid"])];
  return [
    note(`no range of ${wantedIds} ids for ${caller.name} in ${lacking.join(" and ")}: the daemon gives one instead`),
  ];
};

const units: Judge = ({ units: found, daemon, caller }) => {
  const { ok, note, fail } = check("units");
  const root = (command: string): string => asRoot(command, caller.uid);
  const socket = found?.find(({ name }) => name === "isolated.socket");
  const bad = daemon.answers ? note : fail;
  if (!found || !socket) return [note("systemd does not run here: isolated has to be started some other way")];
  if (socket.load === "not-found") {
    const says = "isolated.socket is not installed";
    return [bad(daemon.answers ? `${says}; the daemon was started by hand` : `${says}: install isolate's package`)];
  }
  if (socket.load === "masked") return [bad("isolated.socket is masked", root("systemctl unmask isolated.socket"))];
  const failed = found.find(({ active }) => active === "failed");
  if (failed) {
    const why = `see journalctl -u ${failed.name}; then`;
    return [
      bad(
        `${failed.name} has failed; ${why}`,
        root(`systemctl reset-failed ${failed.name} && ${root("systemctl start isolated.socket")}`),
      ),
    ];
  }
  if (socket.active !== "active")
    return [bad("isolated.socket does not listen", root("systemctl enable --now isolated.socket"))];
  if (found.some(({ needsReload }) => needsReload))
    return [note("unit files have changed since they were read", root("systemctl daemon-reload"))];
  if (socket.file !== "enabled") {
    return [
      note("isolated.socket listens, but will not after the next boot", root("systemctl enable isolated.socket")),
    ];
  }
  return [ok("isolated.socket listens")];
};

const daemon: Judge = (facts) => {
  const { ok, note, fail } = check("daemon");
  const { daemon: found, socket, clientVersion, caller } = facts;
  if (!found.answers) {
    const { code, message, hint } = found;
    if (code === "not-running") return [fail(message, asRoot(startOf(facts), caller.uid))];
    // Of a socket that is out of reach the group's check says the rest.
    return [fail(code === "socket-forbidden" || hint === "" ? message : `${message}; ${hint}`)];
  }
  if (found.health.version !== clientVersion) {
    const says = `it is version ${found.health.version} and this client ${clientVersion}; it runs the new one after`;
    return [note(says, asRoot("systemctl restart isolated.service", caller.uid))];
  }
  return [ok(`version ${found.health.version} answers at ${socket}`)];
};

function startOf({ units: found }: Facts): string {
  const installed = found?.some(({ name, load }) => name === "isolated.socket" && load === "loaded");
  return installed ? "systemctl enable --now isolated.socket" : "isolated";
}

// --- Storage.

const zfs: Judge = (facts) => {
  const { ok, note, fail, unchecked } = check("zfs");
  const { daemon: found, zfs: host, caller, distribution } = facts;
  const said = found.answers ? found.health.storage.find(({ driver }) => driver === "zfs") : undefined;
  const templates = found.answers
    ? found.pools.filter(({ driver }) => driver === "zfs").map(({ template }) => template)
    : [];
  if (!host.commands || host.module === undefined) {
    const loaded = host.commands ? "its kernel module is not loaded" : "it is not installed";
    const command = host.commands ? "modprobe zfs" : install("zfs", distribution);
    const mend = command && asRoot(command, caller.uid);
    if (templates.length > 0) return [fail(`${loaded}, and ${templates.join(", ")} need it`, mend)];
    return [note(`${loaded}: templates are in the overlay store`, mend)];
  }
  if (!atLeast(host.module, 2, 2))
    return [note(`OpenZFS ${host.module} cannot map the ids of a mount, which needs 2.2`)];
  if (said?.wrong) {
    return [
      note(
        `it works now, but did not when the daemon started (${said.wrong})`,
        asRoot("systemctl restart isolated.service", caller.uid),
      ),
    ];
  }
  if (host.pools === undefined) return [unchecked("not checked: needs root", asRoot("isolate doctor", caller.uid))];
  const used = new Set(templates.map((template) => template.split("/")[0]));
  const ill = host.pools.filter(({ name, health }) => used.has(name) && health !== "ONLINE");
  return [
    ok(`OpenZFS ${host.module.trim()}`),
    ...ill.map(({ name, health }) =>
      health === "DEGRADED"
        ? note(`the pool ${name} is degraded and goes on; see`, `zpool status -v ${name}`)
        : fail(`the pool ${name} is ${health.toLowerCase()}; see`, `zpool status -v ${name}`),
    ),
    ...host.pools
      .filter(({ name, capacity }) => used.has(name) && capacity >= 90)
      .map(({ name, capacity }) =>
        note(`the pool ${name} is ${capacity} % full, where ZFS becomes slow; see`, `zfs list -o space -r ${name}`),
      ),
  ];
};

/** Those of Linux that have FS_ALLOW_IDMAP, mount_setattr(2). */
const mappable = ["ext4", "xfs", "btrfs", "f2fs", "tmpfs", "bcachefs", "zfs"];

const overlay: Judge = ({ daemon: found, overlayKnown, stateFileSystem, caller }) => {
  const { ok, note, fail, unchecked } = check("overlay store");
  const said = found.answers ? found.health.storage.find(({ driver }) => driver === "overlay") : undefined;
  if (found.answers && said) {
    if (said.wrong === null) return [ok("the daemon has tried it: id-mapped overlays work")];
    const says = said.mend ? `${said.wrong}; ${said.mend}` : said.wrong;
    return [found.pools.some(({ driver }) => driver === "overlay") ? fail(says) : note(says)];
  }
  if (!overlayKnown) return [note("the kernel does not know overlayfs", asRoot("modprobe overlay", caller.uid))];
  if (stateFileSystem && !mappable.includes(stateFileSystem.type)) {
    const { path, type } = stateFileSystem;
    return [note(`${path} is on ${type}, which may not take id-mapped mounts: give state_dir another file system`)];
  }
  return [unchecked("not checked: the daemon tries it when it starts")];
};

const templates: Judge = ({ daemon: found }) => {
  const { ok, note, fail, unchecked } = check("templates");
  if (!found.answers) return [unchecked("not checked: the daemon knows them")];
  if (found.pools.length === 0) return [fail("there is none", "sudo isolate template create debian --debian trixie")];
  return found.pools.map(({ template, snapshot, lastError, ready, size }) => {
    if (snapshot === null && lastError === null) return note(`${template}: its snapshots are being looked up`);
    if (snapshot === null) return fail(`${template}: ${lastError}`, `sudo isolate template snapshot ${template}`);
    if (lastError !== null && ready === 0 && size > 0)
      return fail(`${template}: ${lastError}`, `sudo isolate -r ${template} ${size}`);
    if (lastError !== null) return note(`${template}: ${lastError}`);
    return ok(`${template}: ${ready} of ${size} ready, of ${snapshot}`);
  });
};

const mebibyte = 2 ** 20;

const space: Judge = ({ daemon: found }) => {
  const { ok, note, fail, unchecked } = check("space");
  if (!found.answers) return [unchecked("not checked: the daemon knows where it writes")];
  return found.health.space.map(({ place, free, total }) => {
    const says = `${place}: ${Math.floor(free / mebibyte)} MiB free of ${Math.floor(total / mebibyte)}`;
    const see = place.includes("/") ? `zfs list -o space -r ${place}` : "isolate pool";
    if (free < 16 * mebibyte) return fail(`${says}; what uses it:`, see);
    if (free < 1024 * mebibyte || free < total / 50) return note(`${says}; what uses it:`, see);
    return ok(says);
  });
};

const limits: Judge = ({ daemon: found }) => {
  const { ok, fail } = check("limit");
  if (!found.answers) return [];
  const { held, leasesPerUser } = found.health.limits;
  if (held >= leasesPerUser)
    return [fail(`you hold ${held} clones, which is the limit; end some of them`, "isolate ps")];
  return [ok(`you hold ${held} of at most ${leasesPerUser} clones`)];
};

// --- Beyond the main job.

const titles = { x11: "X", wayland: "Wayland", pulse: "PulseAudio" } as const;

const desktop: Judge = ({ desktop: found }) => {
  return found.map(({ name, variable, path, answers }) => {
    const { ok, note } = check(titles[name]);
    if (variable === undefined || path === undefined) return note("there is none in this session");
    return answers ? ok(`answers at ${path}`) : note(`${variable} names ${path}, and nobody answers there`);
  });
};

const run: Judge = (facts) => {
  const { ok, fail, unchecked } = check("run");
  if (!facts.run) return [unchecked("not tried: there is no daemon, or no template with a snapshot")];
  const { template, trial } = facts.run;
  const command = `isolate -z ${template} true`;
  return [trial.ok ? ok(`${command} works`) : fail(`${command}: ${trial.said}`)];
};

const judges: readonly Judge[] = [
  kernel,
  userNamespaces,
  seccomp,
  bwrap,
  init,
  group,
  subordinateIds,
  units,
  daemon,
  zfs,
  overlay,
  templates,
  space,
  limits,
  desktop,
  run,
];
