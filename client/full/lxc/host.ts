/** Checks what the lxc engine needs of the host, before a clone is requested. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { IsolateError } from "../../../protocol/errors.ts";
import type { ContainerCaller, ContainerFacts } from "../../run/extras.ts";
import type { RunRequest } from "../../run/options/requests.ts";

const cgroups = "/sys/fs/cgroup";
const page = 4096;
/** The default, as a share of the host's memory. */
const memoryShare = 0.05;
/** netdevice(7), IFNAMSIZ; without characters that are special in a configuration. */
const interfaceName = /^[A-Za-z0-9_.:-]{1,15}$/;

/** Throws `cannot-boot`. Touches nothing. */
export function probeContainerHost(request: RunRequest, { uid, runtimeDirectory }: ContainerCaller): ContainerFacts {
  if (!existsSync(`${cgroups}/cgroup.controllers`))
    throw refuse(`${cgroups} is not cgroup v2`, "boot the host with systemd.unified_cgroup_hierarchy=1");
  if (request.boot?.tun && !existsSync("/dev/net/tun"))
    throw refuse("LXC_MAP_TUN is set, and the host has no /dev/net/tun", "as root: modprobe tun");
  if (request.network === "host") expectBridge(request.boot?.bridge ?? "");
  const userManager = uid === 0 ? undefined : expectDelegation(request, uid, runtimeDirectory);
  const memory = request.limits.memory ?? Math.floor((memoryTotal() * memoryShare) / page) * page;
  return {
    userManager,
    swap: existsSync(`${cgroups}/${uid === 0 ? "init.scope" : "user.slice"}/memory.swap.max`),
    limits: { ...request.limits, memory },
  };
}

function expectBridge(bridge: string): void {
  const fix = "name the bridge by LXC_NET_BR, or as root: ip link add BRIDGE type bridge";
  if (!interfaceName.test(bridge) || bridge === "." || bridge === "..")
    throw refuse(`LXC_NET_BR is not the name of a network device: '${bridge.replace(/[^\x20-\x7e]/g, "?")}'`, fix);
  if (!existsSync(`/sys/class/net/${bridge}/bridge`)) throw refuse(`there is no bridge '${bridge}' for -n`, fix);
}

/** An ordinary user's containers live in the cgroups that systemd delegated to the user's manager. */
function expectDelegation(request: RunRequest, uid: number, runtimeDirectory: string | undefined): string {
  const asRoot = "use the engine 'bwrap', or run the same command as root";
  if ("directory" in request.root) throw refuse("-t with this engine needs 65536 ids, which only root has", asRoot);
  if (request.network === "host") throw refuse("only root may put a container on a bridge (-n)", asRoot);
  const readOnly = request.binds.find((bind) => bind.readOnly);
  if (readOnly)
    throw refuse(
      `root in the container could make '${readOnly.text}' writable, because your user and not root mounts it`,
      asRoot,
    );
  const directory = runtimeDirectory || `/run/user/${uid}`;
  const linger = `as root: loginctl enable-linger ${uid}`;
  if (!existsSync(`${directory}/systemd/private`))
    throw refuse(`user ${uid} has no systemd user manager, to which cgroups are delegated`, linger);
  const manager = `${cgroups}/user.slice/user-${uid}.slice/user@${uid}.service`;
  const delegated = textOf(`${manager}/cgroup.controllers`).trim().split(/\s+/);
  const missing = ["cpu", "memory", "pids"].filter((controller) => !delegated.includes(controller));
  if (missing.length > 0)
    throw refuse(
      `systemd does not delegate ${missing.join(", ")} to the manager of user ${uid}`,
      "as root: put 'Delegate=cpu memory pids' under [Service] of user@.service, then log in again",
    );
  return directory;
}

/** Returns the map of a user namespace in terms of the host's ids. `descriptor` is the namespace's. */
export function readIdMaps(descriptor: number): { uidMap: string; gidMap: string } {
  const read = (file: string): string => {
    const args = ["--preserve-credentials", "--user=/proc/self/fd/3", "/usr/bin/cat", `/proc/self/${file}`];
    const result = spawnSync("/usr/bin/nsenter", args, { stdio: ["ignore", "pipe", "pipe", descriptor], env: {} });
    if (result.status !== 0) throw refuse(`the user namespace cannot be entered: ${result.stderr}`, "");
    return result.stdout.toString();
  };
  return { uidMap: read("uid_map"), gidMap: read("gid_map") };
}

function memoryTotal(): number {
  return Number(/^MemTotal:\s+(\d+) kB$/m.exec(textOf("/proc/meminfo"))?.[1] ?? 0) * 1024;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

export function refuse(wrong: string, fix: string): IsolateError {
  return new IsolateError("cannot-boot", { wrong, fix });
}
