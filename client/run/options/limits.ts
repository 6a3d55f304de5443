/** Reads `--cpus --memory --pids` and the variables of the lxc engine. Pure. */

import type { EngineName } from "../../../engines/features.ts";
import type { Limits } from "../../../engines/spec.ts";
import { IsolateError } from "../../../protocol/errors.ts";
import type { Parsed } from "./arguments.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The lxc engine's settings from the environment, except limits. */
export interface BootRequest {
  /** The host's bridge for `-n`. */
  readonly bridge: string;
  /** Show /dev/net/tun. */
  readonly tun: boolean;
  /** Keep a whole log of the container's start. */
  readonly log: boolean;
}

/** The period of `Limits.cpu` in microseconds: the default of cpu.max (cgroup-v2). */
export const cpuPeriod = 100_000;
const units: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
/** The kernel's maximum, PID_MAX_LIMIT. */
const pidsMaximum = 4_194_304;
/** The default for a container that boots an init; otherwise only the host would limit it. */
const containerPids = 4096;
const containerCpuPercent = "20";

/** Throws `bad-limit`. */
export function readLimits(parsed: Parsed, environment: Environment, engine: EngineName): Limits {
  const cpus = parsed.value("cpus");
  const memory = parsed.value("memory");
  const pids = parsed.value("pids");
  const given: Limits = {
    cpu: cpus === undefined ? undefined : readCpus(cpus),
    memory: memory === undefined ? undefined : readMemory(memory),
    pids: pids === undefined ? undefined : readWhole("--pids", pids, 1, pidsMaximum),
  };
  if (engine !== "lxc") return given;
  const percent = readWhole("LXC_CPU_QUOTA", environment.LXC_CPU_QUOTA || containerCpuPercent, 1, 100);
  const mebibytes = environment.LXC_MEM_MB_QUOTA
    ? readWhole("LXC_MEM_MB_QUOTA", environment.LXC_MEM_MB_QUOTA, 1, 2 ** 30)
    : undefined;
  return {
    cpu: given.cpu ?? (percent * cpuPeriod) / 100,
    memory: given.memory ?? (mebibytes === undefined ? undefined : mebibytes * 2 ** 20),
    pids: given.pids ?? containerPids,
  };
}

export function readBoot({ LXC_NET_BR, LXC_MAP_TUN, DEBUG_LXC_SPAWN }: Environment): BootRequest {
  return { bridge: LXC_NET_BR || "br_vm", tun: Boolean(LXC_MAP_TUN), log: Boolean(DEBUG_LXC_SPAWN) };
}

export function hasLimits({ cpu, memory, pids }: Limits): boolean {
  return cpu !== undefined || memory !== undefined || pids !== undefined;
}

function readCpus(text: string): number {
  const cpu = /^[0-9]{1,4}(\.[0-9]{1,2})?$/.test(text) ? Math.round(Number(text) * cpuPeriod) : 0;
  if (cpu > 0) return cpu;
  throw new IsolateError("bad-limit", { what: "--cpus", value: text, wrong: "is not a number from 0.01 to 9999.99" });
}

function readMemory(text: string): number {
  const [, number = "", unit = ""] = /^([0-9]{1,15})([KMGT]?)$/i.exec(text) ?? [];
  const bytes = Number(number) * (units[unit.toUpperCase()] ?? 0);
  if (number !== "" && bytes >= 2 ** 20 && Number.isSafeInteger(bytes)) return bytes;
  const wrong = "is not a whole number of bytes of at least 1M, or one followed by K, M, G or T";
  throw new IsolateError("bad-limit", { what: "--memory", value: text, wrong });
}

function readWhole(what: string, text: string, least: number, most: number): number {
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : -1;
  if (value >= least && value <= most) return value;
  throw new IsolateError("bad-limit", { what, value: text, wrong: `is not a whole number from ${least} to ${most}` });
}
