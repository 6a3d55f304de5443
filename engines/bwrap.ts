/** Translates a launch spec into options of bwrap(1). Bubblewrap 0.8 (Debian 12) supports all of them. */
import type { Invocation, LaunchSpec, Mount } from "./spec.ts";

/** The path of isolate-init inside: in the engine's /dev, so that nothing is made in the root. */
export const initPath = "/dev/isolate-init";

/**
 * No `--die-with-parent`: it depends on the thread that started isolate (prctl(2), PR_SET_PDEATHSIG), so a background
 * job would die with its shell. Instead, isolate-init watches bwrap and isolate-monitor.
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

/** Returns the whole command line. bubblewrap can read options from `--args`, but not the command after them. */
export function bwrapLine({ options, inside }: Invocation): string[] {
  return [...options, "--", ...inside];
}

/** Returns the command line of an engine that reads its options from the descriptor, up to the end of the stream. */
export function bwrapLater(descriptor: number, inside: readonly string[]): string[] {
  return ["--args", String(descriptor), "--", ...inside];
}

export function optionsBytes(options: readonly string[]): string {
  return options.map((word) => `${word}\0`).join("");
}

/** The first option that is sent later: bubblewrap refuses to run with this option alone. */
export const firstOption = "--userns";

export function engineFileSystems({ root, readOnly }: LaunchSpec): string[] {
  return [readOnly ? "--ro-bind" : "--bind", root, "/", "--proc", "/proc", "--dev", "/dev"];
}

/**
 * These options come after all mounts, so that no mount covers isolate-init. `--as-pid-1` is the last: isolate-init
 * refuses to run as any other process, so a truncated list of options runs nothing.
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

/** With `--userns`, bwrap refuses `--unshare-user` and ids other than 0. */
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

/** The parts of a spec that isolate-init needs. */
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
