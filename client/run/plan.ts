/** Makes a launch spec from a request, the host's facts and a root. Pure: `look` tells what the root holds. */

import type { EngineName } from "../../engines/features.ts";
import type { Connection, Init, LaunchSpec, Mount } from "../../engines/spec.ts";
import { IsolateError } from "../../protocol/errors.ts";
import type { Privileges } from "./options/privileges.ts";
import type { Bind, RunRequest } from "./options/requests.ts";
import { isWithin, type Look, type Mounted, type Resolved, resolveInRoot } from "./paths-in-root.ts";
import type { Shown } from "./shown.ts";

export interface Source {
  /** Absolute, without links. */
  readonly path: string;
  readonly kind: "directory" | "file";
}

/** Host paths of root's run to their descriptors (open(2), O_PATH). */
export type Opened = ReadonlyMap<string, number>;

export interface HostFacts {
  readonly uid: number;
  readonly gid: number;
  /** The engine's program. */
  readonly engine: string;
  /** `isolate-init`. */
  readonly init: string;
  /** `isolate-monitor`. */
  readonly monitor: string;
  readonly resolvConf: string | undefined;
  /** Whether the kernel can keep a process from abstract Unix sockets. */
  readonly scopesSockets: boolean;
  /** For `--net=private`. */
  readonly privateNetwork: PrivateNetwork | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The soft descriptor limit to set. */
  readonly descriptorLimit: number;
  /** The sources of the request's binds, in the same order. */
  readonly sources: readonly Source[];
  /** The parts of the caller's session to show inside. */
  readonly session: Shown | undefined;
  /** The directory of `-t`: absolute, without links. */
  readonly directory: string | undefined;
  /**
   * For root: what `sources`, `directory` and `resolvConf` were when they were looked at. All that root does with them goes
   * by these, since others may change what is at their paths meanwhile. For others empty: the kernel judges them.
   */
  readonly opened: Opened;
}

export interface PrivateNetwork {
  readonly connection: Connection;
  /** For isolate-init. */
  readonly socket: number;
  /** A descriptor from which a resolv.conf(5) can be read; `undefined` if the host has none. */
  readonly resolvConf: number | undefined;
}

/** The root filesystem of the command. */
export interface Root {
  readonly path: string;
  /** The name of the clone or of the directory. */
  readonly name: string;
  readonly userns: number | undefined;
  readonly lease: number | undefined;
  /** The descriptor from which isolate-init reads the monitor's orders; `undefined` if the engine has no monitor. */
  readonly monitor: number | undefined;
  /** A descriptor from which a compiled filter can be read. */
  readonly filter: number | undefined;
  readonly privileges: Privileges;
}

/**
 * Enough for apt, dpkg, useradd, su and chown. Never ALL: the sandbox's mounts belong to its user namespace, and
 * CAP_SYS_ADMIN there remounts a read-only bind writable.
 */
export const usualCapabilities = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_SETFCAP",
  "CAP_SYS_CHROOT",
  "CAP_MKNOD",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_RAW",
  "CAP_AUDIT_WRITE",
] as const;
export const usualPrivileges: Privileges = { capabilities: usualCapabilities, inner: undefined };

const shared = { at: "/dev/shm", mode: 0o1777 };
/** In a container, the root's init makes its own in the engine's /dev. */
const tmpfsOf: Readonly<Record<EngineName, readonly { readonly at: string; readonly mode: number }[]>> = {
  bwrap: [{ at: "/tmp", mode: 0o1777 }, { at: "/home", mode: 0o755 }, shared],
  chroot: [shared],
  lxc: [{ at: "/tmp", mode: 0o1777 }],
};
/** Links and mounts in the sandbox's /dev, made by the engine and by isolate. */
const engineDevices = [
  "fd",
  "stdin",
  "stdout",
  "stderr",
  "core",
  "ptmx",
  "pts",
  "isolate-init",
  "isolate-seccomp",
  "isolate-filter",
  "isolate-xauthority",
  "isolate-pulse",
  "isolate-pulse-cookie",
  "isolate-pulse-client.conf",
].map((name) => `/dev/${name}`);

/** Throws `bad-bind` and `bad-root`. */
export function plan(request: RunRequest, facts: HostFacts, root: Root, look: Look): LaunchSpec {
  const bare: Placed[] = [{ at: "/", from: root.path, readOnly: request.readOnly }];
  const places = request.engine === "bwrap" ? ["/proc", "/dev"] : ["/proc", "/dev", "/sys"];
  for (const place of places) {
    const resolved = resolveInRoot(place, bare, look);
    expectPlain(place, resolved, root);
    if (whyNotMade(resolved, bare) !== undefined) throw unusable(root, place, "is missing, and it is read-only");
  }
  const mounted: Placed[] = [...bare, ...places.map((at) => ({ at, from: undefined, readOnly: false }))];
  const mounts: Mount[] = [];
  /** Paths that the user's binds must not cover. */
  const needed: string[] = [];

  for (const { at, mode } of tmpfsOf[request.engine]) {
    const target = resolveInRoot(at, mounted, look);
    if ("wrong" in target || target.kind === "file" || isReserved(target.path, places)) throw unusable(root, at);
    if (whyNotMade(target, mounted) !== undefined) throw unusable(root, at, "is missing, and it is read-only");
    mounts.push({ kind: "tmpfs", to: target.path, mode });
    mounted.push({ at: target.path, from: undefined, readOnly: false });
  }

  for (const mount of facts.session?.mounts ?? []) {
    const target = resolveInRoot(mount.to, mounted, look);
    if ("wrong" in target) throw unusable(root, mount.to);
    const parent = resolveInRoot(`${target.path}/..`, mounted, look);
    if ("kind" in parent && parent.kind === "absent") mounts.push({ kind: "directory", to: parent.path });
    mounts.push({ ...mount, to: target.path });
    needed.push(target.path);
  }

  /** Plans `mount` so that the source appears at `to`. */
  const place = (
    source: Source,
    to: string,
    readOnly: boolean,
    wrong: (why: string) => IsolateError,
    mount: (at: string) => Mount,
  ): void => {
    const target = resolveInRoot(to, mounted, look);
    if ("wrong" in target) throw wrong(target.wrong);
    const covered = needed.find((path) => isWithin(path, target.path));
    if (covered !== undefined) throw wrong(`it would cover ${covered}, which -1 or -2 puts there`);
    if (isReserved(target.path, places)) throw wrong(`${target.path} belongs to the sandbox itself`);
    if (target.kind !== "absent" && target.kind !== source.kind) {
      throw wrong(`${source.path} is a ${source.kind}, but ${target.path} in the root filesystem is a ${target.kind}`);
    }
    const why = whyNotMade(target, mounted);
    if (why !== undefined) throw wrong(why);
    // The engine makes missing directories for root only, but other ids inside must be able to pass them.
    const parent = resolveInRoot(`${target.path}/..`, mounted, look);
    if ("kind" in parent && parent.kind === "absent") mounts.push({ kind: "directory", to: parent.path });
    mounts.push(mount(target.path));
    mounted.push({ at: target.path, from: source.path, readOnly });
  };
  const bind = (source: Source, to: string, readOnly: boolean, wrong: (why: string) => IsolateError): void =>
    place(source, to, readOnly, wrong, (at) => ({
      kind: "bind",
      from: source.path,
      source: source.kind,
      to: at,
      readOnly,
    }));

  // First, so that the user's binds can replace it.
  if (request.network !== "none" && facts.resolvConf !== undefined) {
    const source: Source = { path: facts.resolvConf, kind: "file" };
    const to = "/etc/resolv.conf";
    const wrong = (why: string) => new IsolateError("bad-bind", { bind: `${source.path}:${to}:ro`, wrong: why });
    const own = facts.privateNetwork?.resolvConf;
    if (own === undefined) bind(source, to, true, wrong);
    else place(source, to, true, wrong, (at) => ({ kind: "data", descriptor: own, to: at }));
  }
  request.binds.forEach(({ to, readOnly, text }: Bind, index) => {
    const source = facts.sources[index];
    if (source) bind(source, to, readOnly, (wrong) => new IsolateError("bad-bind", { bind: text, wrong }));
  });

  const start = resolveInRoot(request.workingDirectory, mounted, look);
  // The engine's entries in /proc and /dev cannot be seen from here.
  const known = "wrong" in start || !places.some((place) => isWithin(start.path, place));
  if (known && ("wrong" in start || start.kind !== "directory")) {
    const why =
      "wrong" in start ? start.wrong : start.kind === "absent" ? "it does not exist" : "it is not a directory";
    throw new IsolateError("bad-start", { directory: request.workingDirectory, wrong: why });
  }

  return {
    root: root.path,
    readOnly: request.readOnly,
    mounts,
    environment: { ...environment(facts.environment), ...facts.session?.environment, ...request.variables },
    workingDirectory: request.workingDirectory,
    hostname: hostname(root.name),
    network: request.network,
    connection: facts.privateNetwork?.connection,
    userns: root.userns,
    // Raw packets would bypass the rules that keep the host out of reach.
    capabilities: root.privileges.capabilities.filter(
      (name) => request.network !== "private" || name !== "CAP_NET_RAW",
    ),
    init: planInit(request, facts, root),
    monitor: facts.monitor,
    newSession: request.newSession,
    command: request.command,
  };
}

/** Plans the orders for isolate-init, which do not depend on the root's path and namespace. */
export function planInit(
  request: RunRequest,
  facts: HostFacts,
  { lease, monitor, filter, privileges }: Pick<Root, "lease" | "monitor" | "filter" | "privileges">,
): Init {
  return {
    path: facts.init,
    leaseDescriptor: lease,
    heldDescriptor: facts.session?.held,
    monitorDescriptor: monitor,
    networkDescriptor: facts.privateNetwork?.socket,
    noAbstractSockets: request.network === "host" && !request.abstractSockets && facts.scopesSockets,
    filter: request.seccomp.kind === "file" ? "default" : request.seccomp.kind,
    filterDescriptor: filter,
    noNewUserns: request.noNewUserns,
    innerCapabilities: privileges.inner,
    machineId: isDisposable(request),
  };
}

/** Whether the root is a clone for this run only, and writable. */
function isDisposable({ root, readOnly }: RunRequest): boolean {
  return "template" in root && !root.edit && !readOnly;
}

interface Placed extends Mounted {
  readonly readOnly: boolean;
}

/** Returns why the engine cannot make the target; `undefined` if it exists or can be made. */
function whyNotMade(target: Resolved, mounted: readonly Placed[]): string | undefined {
  if ("wrong" in target || target.kind !== "absent") return undefined;
  const around = mounted.findLast(({ at }) => isWithin(target.path, at));
  return around?.readOnly ? `${target.path} does not exist, and ${around.at} is read-only` : undefined;
}

function expectPlain(place: string, resolved: Resolved, root: Root): void {
  if ("wrong" in resolved || resolved.path !== place || resolved.kind === "file") throw unusable(root, place);
}

function unusable(root: Root, place: string, wrong = "is not a directory of its own"): IsolateError {
  return new IsolateError("bad-root", { directory: root.path, wrong: `its ${place} ${wrong}` });
}

function isReserved(path: string, places: readonly string[]): boolean {
  return (
    path === "/" ||
    path === "/dev" ||
    places.some((place) => place !== "/dev" && isWithin(path, place)) ||
    engineDevices.some((device) => isWithin(path, device))
  );
}

/** The only variables passed from the caller: those of the terminal, the language and the time zone. */
const inherited = /^(TERM|COLORTERM|LANG|LANGUAGE|LC_[A-Z]+|TZ|NO_COLOR)$/;

function environment(callers: HostFacts["environment"]): Record<string, string> {
  const own = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/root",
    USER: "root",
    LOGNAME: "root",
  };
  const kept = Object.entries(callers).filter(
    (pair): pair is [string, string] => inherited.test(pair[0]) && pair[1] !== undefined,
  );
  return { ...own, ...Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1))) };
}

/** sethostname(2) takes 64 bytes. */
function hostname(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9_.:-]/g, "-").slice(0, 64);
  return plain === "" ? "isolate" : plain;
}
