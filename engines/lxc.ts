/**
 * Translates a launch spec into lxc.container.conf(5) and command lines. LXC 5 and 6 support all of it.
 *
 * The configuration contains only isolate's own paths, numbers and names. The caller's words (environment, command) are
 * passed in argv, which needs no escaping.
 */
import type { Init, LaunchSpec, Limits, Mount } from "./spec.ts";

export interface ContainerHost {
  /** Unique on the host. */
  readonly name: string;
  /** LXC's directory of containers; only this container uses it. */
  readonly directory: string;
  /** Path of the user namespace to join, and its map as in /proc/PID/uid_map and gid_map. */
  readonly userns: string;
  readonly uidMap: string;
  readonly gidMap: string;
  /** The bridge for `network: "host"`. */
  readonly bridge: string;
  readonly tun: boolean;
  /** Whether the kernel accounts swap, so that it can be forbidden. */
  readonly swap: boolean;
  readonly limits: Limits;
  /** The period of `limits.cpu` in microseconds. */
  readonly cpuPeriod: number;
  /** Precedes every program that starts something inside: enters a scope in the caller's cgroups if necessary. */
  readonly scope: readonly string[];
  /** Path of the caller's compiled filter. */
  readonly filterFile: string | undefined;
  readonly logFile: string;
  readonly logLevel: "ERROR" | "TRACE";
}

/** Whole command lines; the first word is looked up when the line is run. */
export interface Container {
  readonly config: string;
  /** Stays until the container ends. Dies with its parent, and the container dies with it. */
  readonly start: readonly string[];
  /** Prints the state, and the pid of init as soon as it exists. */
  readonly info: readonly string[];
  /** Asks init to end, and kills it after two seconds. */
  readonly stop: readonly string[];
  readonly kill: readonly string[];
  /** Runs a program of the root in the container, in addition to the spec's command. */
  readonly probe: (command: readonly string[]) => readonly string[];
  readonly attach: readonly string[];
}

/**
 * The wrapper's path inside, in LXC's /dev. It starts init, because LXC itself needs calls that the filter refuses
 * (bpf(2)). For attached commands the wrapper is in front of lxc-attach, because root inside could have replaced the
 * inner wrapper by then. So the inner one only changes the directory there.
 */
const starter = "/dev/isolate-seccomp";
const filterInside = "/dev/isolate-filter";

export function lxc(spec: LaunchSpec, host: ContainerHost): Container {
  const named = ["-P", host.directory, "-n", host.name];
  // No variables of the caller: LXC would read the caller's configuration and keep its locks elsewhere.
  const clean = ["env", "-i", "PATH=/usr/bin:/bin", `HOME=${host.directory}`, `XDG_RUNTIME_DIR=${host.directory}`];
  // lxc-attach itself makes a user namespace, so that rule applies only to the programs that it starts.
  const filter = filterWords(spec.init.path, { ...spec.init, noNewUserns: false }, host.filterFile);
  const attachTo = (environment: readonly string[], command: readonly string[]): string[] => [
    ...host.scope,
    ...clean,
    ...filter,
    "lxc-attach",
    ...named,
    "-l",
    "FATAL", // it reports an error if an ordinary user cannot drop groups, and continues
    "--clear-env",
    ...environment,
    "--",
    ...command,
  ];
  return {
    config: config(spec, host),
    start: [
      ...host.scope,
      ...clean,
      "setpriv",
      "--pdeathsig",
      "KILL",
      "lxc-start",
      ...named,
      "-F",
      "-f",
      `${host.directory}/${host.name}/config`,
      "-l",
      host.logLevel,
      "-o",
      host.logFile,
    ],
    info: [...clean, "lxc-info", ...named, "-s", "-p", "-H"],
    stop: [...clean, "lxc-stop", ...named, "-t", "2"],
    kill: [...clean, "lxc-stop", ...named, "-k"],
    probe: (command) => attachTo(["-v", `PATH=${spec.environment.PATH ?? ""}`], command),
    attach: attachTo(
      Object.entries(spec.environment).flatMap(([name, value]) => ["-v", `${name}=${value}`]),
      [starter, "--seccomp=none", ...userns(spec.init), `--chdir=${spec.workingDirectory}`, "--", ...spec.command],
    ),
  };
}

function filterWords(wrapper: string, init: Init, file: string | undefined): string[] {
  if (init.filter === "none" && !init.noNewUserns) return [];
  return [wrapper, `--seccomp=${file ?? init.filter}`, ...userns(init), "--"];
}

function userns({ noNewUserns }: Init): string[] {
  return noNewUserns ? ["--no-new-userns"] : [];
}

function config(spec: LaunchSpec, host: ContainerHost): string {
  const lines: (readonly [key: string, value: string])[] = [
    ["lxc.uts.name", spec.hostname],
    ["lxc.rootfs.path", `dir:${plain(spec.root)}`],
    ["lxc.namespace.share.user", host.userns],
    ...idMap("u", host.uidMap),
    ...idMap("g", host.gidMap),
    ["lxc.init.cmd", [...filterWords(starter, spec.init, host.filterFile && filterInside), "/sbin/init"].join(" ")],
    ["lxc.console.path", "none"],
    ["lxc.tty.max", "0"],
    ["lxc.pty.max", "1024"],
    ["lxc.autodev", "1"],
    ["lxc.mount.auto", "proc:mixed sys:mixed cgroup:rw:force"],
    ["lxc.cap.drop", "mac_admin mac_override sys_time sys_module sys_rawio"],
    ["lxc.apparmor.profile", "unconfined"],
    ["lxc.keyring.session", "0"],
    ...network(spec, host),
    ...limits(host),
    ...spec.mounts.flatMap((mount) => (mount.kind === "directory" ? [] : [["lxc.mount.entry", entry(mount)] as const])),
    ["lxc.mount.entry", `${escaped(spec.init.path)} ${relative(starter)} none bind,ro,create=file 0 0`],
    ...(host.filterFile === undefined
      ? []
      : [
          [
            "lxc.mount.entry",
            `${escaped(host.filterFile)} ${relative(filterInside)} none bind,ro,create=file 0 0`,
          ] as const,
        ]),
    ...(host.tun ? [["lxc.mount.entry", "/dev/net/tun dev/net/tun none bind,create=file 0 0"] as const] : []),
  ];
  return `${lines.map(([key, value]) => `${key} = ${value}`).join("\n")}\n`;
}

function idMap(kind: "u" | "g", map: string): (readonly [string, string])[] {
  return map
    .trim()
    .split("\n")
    .map((line) => ["lxc.idmap", `${kind} ${line.trim().split(/\s+/).join(" ")}`]);
}

function network({ network: wanted }: LaunchSpec, { bridge }: ContainerHost): (readonly [string, string])[] {
  if (wanted === "none") return [["lxc.net.0.type", "empty"]];
  return [
    ["lxc.net.0.type", "veth"],
    ["lxc.net.0.link", bridge],
    ["lxc.net.0.flags", "up"],
    ["lxc.net.0.name", "eth0"],
  ];
}

function limits({ limits: { cpu, memory, pids }, cpuPeriod, swap }: ContainerHost): (readonly [string, string])[] {
  return [
    ...(cpu === undefined ? [] : [["lxc.cgroup2.cpu.max", `${cpu} ${cpuPeriod}`] as const]),
    ...(memory === undefined ? [] : [["lxc.cgroup2.memory.max", String(memory)] as const]),
    ...(memory === undefined || !swap ? [] : [["lxc.cgroup2.memory.swap.max", "0"] as const]),
    ...(pids === undefined ? [] : [["lxc.cgroup2.pids.max", String(pids)] as const]),
  ];
}

/** Returns a line of fstab(5). LXC makes the directories above a target, open to all ids. */
function entry(mount: Exclude<Mount, { kind: "directory" }>): string {
  const to = relative(mount.to);
  if (mount.kind === "data") throw new Error(`LXC can mount only files, not the descriptor for ${mount.to}`);
  if (mount.kind === "tmpfs") {
    const mode = (mount.mode ?? 0o755).toString(8);
    return `tmpfs ${to} tmpfs nosuid,nodev,size=256m,mode=${mode},create=dir 0 0`;
  }
  const create = mount.source === "file" ? "file" : "dir";
  return `${escaped(mount.from)} ${to} none ${mount.source === "file" ? "bind" : "rbind"}${mount.readOnly ? ",ro" : ""},create=${create} 0 0`;
}

/** LXC resolves a target without a leading slash in the root. */
function relative(path: string): string {
  return escaped(path.slice(1));
}

/** Escapes blanks, line ends and backslashes as octal numbers, as getmntent(3) requires. */
function escaped(path: string): string {
  return path.replace(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

/** LXC reads a value up to the end of the line, without escapes, so a path must not contain a line end. */
function plain(path: string): string {
  if (/[\n\r]/.test(path)) throw new Error(`LXC's configuration cannot contain a path with a line end: ${path}`);
  return path;
}
