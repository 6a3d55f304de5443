/** Reads the command's capabilities from `--cap-add` and `--cap-drop`: capabilities(7). Pure. */
import type { Network } from "../../../engines/spec.ts";
import { usage } from "./arguments.ts";

export interface CapabilityChanges {
  /** The names as written. */
  readonly add: readonly string[];
  readonly drop: readonly string[];
}

export interface Privileges {
  /** Capabilities in the sandbox's user namespace. Pid 1 has them, and the command too unless `inner` is set. */
  readonly capabilities: readonly string[];
  /**
   * The command's capabilities in a nested user namespace, as a mask of the kernel's numbers. Set if they are more than
   * is safe in the user namespace that owns the sandbox's mounts.
   */
  readonly inner: string | undefined;
}

/** Names in the order of the kernel's numbers, as of Linux 5.9. */
const names: readonly string[] = [
  ...["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"],
  ...["LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"],
  ...["SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"],
  ...["SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"],
  ...["MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"],
  "CHECKPOINT_RESTORE",
];

/** Applies the changes to `usual`, the default capabilities, whose names begin with `CAP_`. Throws `usage`. */
export function choosePrivileges(
  changes: CapabilityChanges,
  usual: readonly string[],
  network: Network = "none",
): Privileges {
  const add = new Set(changes.add.map((text) => readName("--cap-add", text)));
  const drop = new Set(changes.drop.map((text) => readName("--cap-drop", text)));
  const both = [...add].find((name) => drop.has(name));
  if (both !== undefined) throw usage(`--cap-add ${both} and --cap-drop ${both} contradict each other`);
  if (network === "private" && add.has("NET_RAW"))
    throw usage("--cap-add NET_RAW and --net=private contradict each other: raw packets would reach the host itself");
  const has = (name: string): boolean =>
    add.has(name) || (!drop.has(name) && (add.has("ALL") || (!drop.has("ALL") && usual.includes(`CAP_${name}`))));
  const wanted = names.filter(has);
  if (wanted.every((name) => usual.includes(`CAP_${name}`)))
    return { capabilities: wanted.map((name) => `CAP_${name}`), inner: undefined };
  const mask = names.reduce((bits, name, number) => (has(name) ? bits | (1n << BigInt(number)) : bits), 0n);
  return { capabilities: usual, inner: mask.toString(16) };
}

function readName(option: string, text: string): string {
  const name = text.toUpperCase().replace(/^CAP_/, "");
  if (name === "ALL" || names.includes(name)) return name;
  throw usage(`${option} needs the name of a capability, such as NET_ADMIN, or ALL, not '${text}'`);
}
