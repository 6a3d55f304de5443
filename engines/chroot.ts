/**
 * A different root and little more, for package work: the run has the host's network, IPC, host name and /sys, and only
 * /proc, /dev and /sys of the root are covered. It uses bwrap(1) too: mounts and processes are in the run's own
 * namespaces, so the kernel removes all of them however the run ends, and root inside is not the host's root.
 */
import { engineFileSystems, inside, lastOptions, mount, userNamespace } from "./bwrap.ts";
import type { Invocation, LaunchSpec } from "./spec.ts";

export function chroot(spec: LaunchSpec): Invocation {
  const options = [
    ...userNamespace(spec.userns),
    "--unshare-pid",
    ...engineFileSystems(spec),
    "--ro-bind",
    "/sys",
    "/sys",
    ...spec.mounts.flatMap(mount),
    ...lastOptions(spec),
  ];
  return { options, inside: inside(spec) };
}
