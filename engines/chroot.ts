/**
 * Another root and little more, for package work: the host's network, IPC, host name and /sys, and nothing of the root is
 * covered but /proc, /dev and /sys. In bwrap(1)'s words too: the mounts and the processes are in namespaces of the run's
 * own, so that the kernel takes all of them away however the run ends; and root inside is not the host's root.
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
