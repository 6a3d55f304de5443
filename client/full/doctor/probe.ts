/** Collects the facts about this host for `isolate doctor`. Changes nothing: its trial sandboxes end immediately. */
import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import { dirname } from "node:path";
import { IsolateError, toIsolateError } from "../../../protocol/errors.ts";
import { Refusal } from "../../../protocol/refusal.ts";
import type { Pool } from "../../../protocol/schema.ts";
import { version } from "../../../protocol/version.ts";
import { isPastSigned } from "../../run/extras.ts";
import { lookUp, ownDirectories, programDirectories, systemDirectories } from "../../run/host.ts";
import type { Libc } from "../../run/linux/libc.ts";
import type { Api } from "../api.ts";
import { hasDefaultRoute } from "../network/default-route.ts";
import { mayOpenTun } from "../network/tun.ts";
import type { Daemon, Facts, Trial, Unit } from "./facts.ts";
import { rangesOf, readDistribution, readPools, readUnits } from "./parse.ts";
import { probeDesktop } from "./probe-desktop.ts";
import { outcome, run } from "./trial.ts";

const groupName = "isolate";
const nobody = "65534";

export interface ProbeOptions {
  readonly socket: string;
  readonly api: Api;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** This client's argv. */
  readonly self: readonly string[];
  readonly libc: Libc;
}

export async function probe({ socket, api, environment, self, libc }: ProbeOptions): Promise<Facts> {
  const uid = process.getuid?.() ?? 0;
  const bwrap = findBwrap();
  const [callerFacts, group, daemon, bwrapVersion, sandbox, units, zfs, desktop] = await Promise.all([
    probeCaller(uid),
    probeGroup(socket),
    askDaemon(api),
    bwrap ? run(bwrap.path, ["--version"]) : undefined,
    bwrap ? trySandbox(bwrap.path, uid) : undefined,
    probeUnits(),
    probeZfs(),
    probeDesktop(environment, uid),
  ]);
  return {
    caller: callerFacts,
    distribution: readDistribution(read("/etc/os-release") ?? read("/usr/lib/os-release") ?? ""),
    kernel: release(),
    inContainer: existsSync("/run/.containerenv") || existsSync("/.dockerenv") || existsSync("/run/systemd/container"),
    userNamespaces: {
      most: numberIn("/proc/sys/user/max_user_namespaces"),
      unprivileged: switchIn("/proc/sys/kernel/unprivileged_userns_clone"),
      appArmorRestricts: switchIn("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") ?? false,
    },
    sandbox,
    seccompActions: (read("/proc/sys/kernel/seccomp/actions_avail") ?? "").trim().split(" "),
    bwrap: bwrap && { ...bwrap, version: /(\d+\.\d+(?:\.\d+)?)/.exec(bwrapVersion?.stdout ?? "")?.[1] },
    network: {
      scopesSockets: libc.scopesSockets(),
      programs: (["nft", "pasta", "slirp4netns"] as const).filter((program) => lookUp(program, libc) !== undefined),
      tun: mayOpenTun(uid),
      defaultRoute: hasDefaultRoute(read("/proc/net/route") ?? "", read("/proc/net/ipv6_route") ?? ""),
    },
    helpers: ["isolate-init", "isolate-monitor", "isolate-network", "isolate-seccomp"].map((name) =>
      findHelper(name, libc),
    ),
    zfs,
    overlayKnown: /\boverlay$/m.test(read("/proc/filesystems") ?? ""),
    stateFileSystem: fileSystemOf(nearest("/var/lib/isolate")),
    group,
    subordinate: {
      uids: rangesOf(read("/etc/subuid") ?? "", callerFacts.name, uid),
      gids: rangesOf(read("/etc/subgid") ?? "", callerFacts.name, uid),
    },
    socket,
    daemon,
    clientVersion: version,
    units,
    desktop,
    run: await tryRun(daemon, self, uid),
  };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // absent or unreadable: the judgement tells them apart where it matters
  }
}

function numberIn(path: string): number | undefined {
  const text = read(path)?.trim();
  return text === undefined || !/^[0-9]+$/.test(text) ? undefined : Number(text);
}

function switchIn(path: string): boolean | undefined {
  const number = numberIn(path);
  return number === undefined ? undefined : number !== 0;
}

// --- The caller and the host.

async function probeCaller(uid: number): Promise<Facts["caller"]> {
  const { stdout } = await run("id", ["-un"]);
  const name = stdout.trim() || String(uid);
  const atLogin = await run("id", ["-G", name]);
  const groups = new Set([process.getgid?.() ?? 0, ...(process.getgroups?.() ?? [])]);
  return {
    uid,
    name,
    groups: [...groups],
    groupsAtLogin: atLogin.code === 0 ? atLogin.stdout.trim().split(" ").map(Number) : [],
  };
}

/** Returns the socket's group, or the default group if there is no socket yet. */
async function probeGroup(socket: string): Promise<Facts["group"]> {
  let wanted = groupName;
  try {
    wanted = String(statSync(socket).gid);
  } catch {
    // No socket, or out of reach.
  }
  const [name = wanted, , gid] = (await run("getent", ["group", wanted])).stdout.trim().split(":");
  const known = gid === undefined ? Number(wanted) : Number(gid);
  return { name: name === "" ? wanted : name, gid: Number.isNaN(known) ? undefined : known };
}

function nearest(path: string): string {
  return existsSync(path) || path === "/" ? path : nearest(dirname(path));
}

/** Reads /proc/self/mountinfo, which also works for callers who may not enter the directory. */
function fileSystemOf(path: string): Facts["stateFileSystem"] {
  const mounts = (read("/proc/self/mountinfo") ?? "").split("\n").flatMap((line) => {
    const [left = "", right = ""] = line.split(" - ");
    const at = left.split(" ")[4];
    const type = right.split(" ")[0];
    return at === undefined || type === undefined || type === "" ? [] : [{ at, type }];
  });
  const within = mounts.filter(({ at }) => at === "/" || path === at || path.startsWith(`${at}/`));
  // Of the deepest mounts, the last covers the others.
  const deepest = Math.max(...within.map(({ at }) => at.length));
  const found = within.findLast(({ at }) => at.length === deepest);
  return found && { path, type: found.type };
}

// --- Programs.

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function findBwrap(): { path: string; setuid: boolean } | undefined {
  const path = programDirectories.map((directory) => `${directory}/bwrap`).find(isExecutable);
  return path === undefined ? undefined : { path, setuid: (statSync(path).mode & 0o4000) !== 0 };
}

function findHelper(name: string, libc: Libc): Facts["helpers"][number] {
  const looked = ownDirectories(libc).map((directory) => `${directory}/${name}`);
  return { name, path: looked.find(libc.isExecutable), looked };
}

/**
 * Tries the namespaces of every run on the host's own root filesystem, as a user: root's trial says nothing about
 * users.
 */
function trySandbox(bwrap: string, uid: number): Promise<Trial> {
  // As in a run, unshare(1) makes the user namespace of such a caller, not bubblewrap.
  const isLarge = isPastSigned({ uid, gid: process.getgid?.() ?? 0 });
  const namespaces = [
    ...(isLarge ? [] : ["--unshare-user"]),
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-uts",
    "--unshare-net",
  ];
  const front = isLarge ? ["unshare", "--user", "--map-root-user", "--"] : [];
  const command = [...front, bwrap, ...namespaces, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"];
  const ids = ["--reuid", nobody, "--regid", nobody, "--clear-groups"];
  const [program = "", ...args] = uid === 0 ? ["setpriv", ...ids, ...command] : command;
  return run(program, args).then((done) => outcome(done, program));
}

// --- Services.

async function askDaemon(api: Api): Promise<Daemon> {
  try {
    const [health, pools, templates] = await Promise.all([
      api.call("health", {}),
      api.call("pools", {}),
      api.call("templates", {}),
    ]);
    return { answers: true, health, pools, templates };
  } catch (thrown) {
    const { code, message, hint } = thrown instanceof Refusal ? thrown : toIsolateError(thrown);
    return { answers: false, code, message, hint };
  }
}

async function probeUnits(): Promise<readonly Unit[] | undefined> {
  if (!existsSync("/run/systemd/system")) return undefined; // sd_booted(3)
  const properties = ["Id", "LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload"];
  const { code, stdout } = await run("systemctl", [
    "show",
    `--property=${properties.join(",")}`,
    "isolated.socket",
    "isolated.service",
  ]);
  return code === 0 ? readUnits(stdout) : undefined;
}

async function probeZfs(): Promise<Facts["zfs"]> {
  const module = read("/sys/module/zfs/version")?.trim();
  const commands = [...systemDirectories, ...programDirectories].some((directory) =>
    isExecutable(`${directory}/zpool`),
  );
  const listed =
    module !== undefined && commands
      ? await run("zpool", ["list", "-H", "-p", "-o", "name,health,capacity"])
      : undefined;
  return { module, commands, pools: listed?.code === 0 ? readPools(listed.stdout) : undefined };
}

// --- The trial run.

/** Tries a run in the first template that has a snapshot and that this caller may lease from. */
async function tryRun(daemon: Daemon, self: readonly string[], uid: number): Promise<Facts["run"]> {
  const pools = daemon.answers ? daemon.pools.filter(({ snapshot }) => snapshot !== null) : [];
  let last: Facts["run"];
  const works = ({ lastError }: Pool): number => (lastError === null ? 1 : 0);
  for (const { template } of pools.sort((a, b) => works(b) - works(a) || b.ready - a.ready)) {
    const [program = "", ...args] = self;
    const done = await run(program, [...args, "-z", template, "--wait", "20", "true"]);
    // 126 and 127: the root filesystem has no `true`, but the run itself works.
    const ran = done.code === 126 || done.code === 127 ? { ...done, code: 0 } : done;
    last = { template, trial: outcome(ran, program) };
    if (!done.stderr.includes(new IsolateError("not-allowed", { template, uid }).message)) return last;
  }
  return last;
}
