/** A launch spec in bwrap(1)'s words. Bubblewrap 0.8 (Debian 12) understands all of them. */
import type { Invocation, LaunchSpec, Mount } from "./spec.ts";

/** Where isolate-init appears: in the engine's own /dev, so that nothing is made in the root. */
export const initPath = "/dev/isolate-init";

/**
 * No `--die-with-parent`: it is bound to the thread that started us (prctl(2), PR_SET_PDEATHSIG), so a background job
 * would die with its shell. isolate-init watches bwrap, and isolate-monitor, instead.
 */
export function bwrap(spec: LaunchSpec): Invocation {
  const argv = [
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
    ...inside(spec),
  ];
  return { program: "bwrap", argv };
}

export function engineFileSystems({ root, readOnly }: LaunchSpec): string[] {
  return [readOnly ? "--ro-bind" : "--bind", root, "/", "--proc", "/proc", "--dev", "/dev"];
}

/** Comes after all mounts, so that none of them covers isolate-init. */
export function inside(spec: LaunchSpec): string[] {
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
    "--",
    ...init(spec),
    ...spec.command,
  ];
}

/** bwrap refuses `--unshare-user` and other ids than 0 beside `--userns`. */
export function userNamespace(descriptor: number | undefined): string[] {
  if (descriptor !== undefined) return ["--userns", String(descriptor)];
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

function init({ init, network }: LaunchSpec): string[] {
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
  ];
}
