/** A launch spec in bwrap(1)'s words. Bubblewrap 0.8 (Debian 12) understands all of them. */
import type { Invocation, LaunchSpec, Mount } from "./spec.ts";

/** Where isolate-init appears: in the engine's own /dev, so that nothing is made in the root. */
export const initPath = "/dev/isolate-init";

/**
 * No `--die-with-parent`: it is bound to the thread that started us (prctl(2), PR_SET_PDEATHSIG), so a background job
 * would die with its shell. isolate-init watches bwrap, and isolate-monitor, instead.
 */
export function bwrap(spec: LaunchSpec): Invocation {
  const options = [
    ...userNamespace(spec.userns),
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-uts",
    "--unshare-cgroup-try",
    ...(spec.network === "host" ? [] : ["--unshare-net"]),
    "--hostname",
    spec.hostname,
    ...engineFileSystems(spec),
    ...spec.mounts.flatMap(mount),
    ...lastOptions(spec),
  ];
  return { options, inside: inside(spec) };
}

/** The whole line. bubblewrap reads options from `--args` too, but nothing after them. */
export function bwrapLine({ options, inside }: Invocation): string[] {
  return [...options, "--", ...inside];
}

/** Of an engine whose options come later, through the descriptor, and end with its end. */
export function bwrapLater(descriptor: number, inside: readonly string[]): string[] {
  return ["--args", String(descriptor), "--", ...inside];
}

export function optionsBytes(options: readonly string[]): string {
  return options.map((word) => `${word}\0`).join("");
}

/** The first of all options that come later: with it and nothing more bubblewrap refuses its line. */
export const firstOption = "--userns";

export function engineFileSystems({ root, readOnly }: LaunchSpec): string[] {
  return [readOnly ? "--ro-bind" : "--bind", root, "/", "--proc", "/proc", "--dev", "/dev"];
}

/**
 * They come after all mounts, so that none of them covers isolate-init. `--as-pid-1` is the last: isolate-init refuses to be
 * anything else, and so a line whose end did not come runs nothing.
 */
export function lastOptions(spec: LaunchSpec): string[] {
  return [
    "--ro-bind",
    spec.init.path,
    initPath,
    "--chdir",
    spec.workingDirectory,
    "--clearenv",
    ...Object.entries(spec.environment).flatMap(([name, value]) => ["--setenv", name, value]),
    "--cap-drop",
    "ALL",
    ...spec.capabilities.flatMap((capability) => ["--cap-add", capability]),
    ...(spec.newSession ? ["--new-session"] : []),
    "--as-pid-1",
  ];
}

/** bwrap refuses `--unshare-user` and other ids than 0 beside `--userns`. */
export function userNamespace(descriptor: number | undefined): string[] {
  if (descriptor !== undefined) return [firstOption, String(descriptor)];
  return ["--unshare-user", "--uid", "0", "--gid", "0"];
}

export function mount(it: Mount): string[] {
  if (it.kind === "tmpfs") {
    return [...(it.mode === undefined ? [] : ["--perms", it.mode.toString(8).padStart(4, "0")]), "--tmpfs", it.to];
  }
  if (it.kind === "directory") return ["--dir", it.to];
  if (it.kind === "data") return ["--perms", "0644", "--bind-data", String(it.descriptor), it.to];
  return [it.readOnly ? "--ro-bind" : "--bind", it.from, it.to];
}

/** What of a spec isolate-init is told. */
export type Inside = Pick<LaunchSpec, "init" | "network" | "command">;

export function inside({ init, network, command }: Inside): string[] {
  const { leaseDescriptor, heldDescriptor, monitorDescriptor, networkDescriptor, noAbstractSockets } = init;
  const { filter, filterDescriptor, noNewUserns, innerCapabilities, machineId } = init;
  return [
    initPath,
    ...(leaseDescriptor === undefined ? [] : ["--lease-fd", String(leaseDescriptor)]),
    ...(heldDescriptor === undefined ? [] : ["--hold-fd", String(heldDescriptor)]),
    ...(monitorDescriptor === undefined ? [] : ["--monitor-fd", String(monitorDescriptor)]),
    ...(networkDescriptor === undefined ? [] : ["--network-fd", String(networkDescriptor)]),
    ...(noAbstractSockets ? ["--no-abstract-sockets"] : []),
    ...(filter === "default" ? [] : ["--seccomp", filter]),
    ...(filterDescriptor === undefined ? [] : ["--seccomp-fd", String(filterDescriptor)]),
    ...(noNewUserns ? ["--no-new-userns"] : []),
    ...(innerCapabilities === undefined ? [] : ["--capabilities", innerCapabilities]),
    ...(innerCapabilities === undefined || network !== "none" ? [] : ["--own-network"]),
    ...(machineId ? ["--machine-id"] : []),
    "--",
    ...command,
  ];
}
