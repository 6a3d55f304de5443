/**
 * Limits for an engine that cannot limit itself. The client executes itself again in a transient systemd scope: the
 * same process in its own cgroup. The limits apply to everything that the process becomes. systemd removes the scope
 * when it is empty.
 */

import type { Limits } from "../../engines/spec.ts";
import { IsolateError } from "../../protocol/errors.ts";
import { environmentList } from "./launch.ts";
import type { Libc } from "./linux/libc.ts";
import { inScope } from "./options/definitions.ts";
import { cpuPeriod } from "./options/limits.ts";
import type { Environment } from "./options/requests.ts";

export interface Again {
  /** The client's program, and its script if a runtime runs it. */
  readonly self: readonly string[];
  readonly words: readonly string[];
  readonly environment: Environment;
  readonly uid: number;
  /** The descriptors to keep open. */
  readonly descriptors: readonly number[];
}

const systemdRun = "/usr/bin/systemd-run";
const cgroups = "/sys/fs/cgroup";

/** Throws `cannot-limit`; otherwise it does not return. */
export function enterScope(limits: Limits, again: Again, libc: Libc): never {
  const { uid, words, self } = again;
  const environment = { ...again.environment };
  if (!libc.isExecutable(systemdRun) || libc.kindOf("/run/systemd/system") === "absent") {
    throw new IsolateError("cannot-limit", { wrong: "this needs systemd scopes, and systemd does not run here" });
  }
  if (uid !== 0) {
    environment.XDG_RUNTIME_DIR ||= `/run/user/${uid}`;
    if (libc.kindOf(`${environment.XDG_RUNTIME_DIR}/systemd/private`) === "absent")
      throw new IsolateError("cannot-limit", { wrong: `user ${uid} has no systemd user manager` });
  }
  const unit = `isolate-${libc.ownPid()}-${Date.now()}.scope`;
  const argv = [...scopeArguments(limits, unit, uid !== 0), "--", ...self, `--${inScope.long}`, unit, ...words];
  libc.keepOnly(again.descriptors);
  return libc.execute(systemdRun, argv, environmentList(environment));
}

/** systemd.resource-control(5). */
export function scopeArguments({ cpu, memory, pids }: Limits, unit: string, user: boolean): string[] {
  const properties = [
    ...(cpu === undefined ? [] : [`CPUQuota=${(cpu * 100) / cpuPeriod}%`, "CPUQuotaPeriodSec=100ms"]),
    ...(memory === undefined ? [] : [`MemoryMax=${memory}`, "MemorySwapMax=0"]),
    ...(pids === undefined ? [] : [`TasksMax=${pids}`]),
  ];
  return [
    ...(user ? ["--user"] : []),
    "--scope",
    "--quiet",
    "--collect",
    `--unit=${unit}`,
    ...properties.flatMap((property) => ["-p", property]),
  ];
}

/** Checks that the limits are set: systemd ignores a limit that it cannot set. Throws `cannot-limit`. */
export function expectLimits({ cpu, memory, pids }: Limits, unit: string, libc: Libc): void {
  const path = /^0::(.*)$/m.exec(libc.readText("/proc/self/cgroup"))?.[1] ?? "";
  if (!path.endsWith(`/${unit}`)) throw new IsolateError("cannot-limit", { wrong: `this process is not in ${unit}` });
  const read = (file: string): string => libc.readTextIfAny(`${cgroups}${path}/${file}`)?.trim() ?? "absent";
  const page = 4096;
  const wanted: readonly (readonly [file: string, value: string])[] = [
    ...(cpu === undefined ? [] : [["cpu.max", `${cpu} ${cpuPeriod}`] as const]),
    ...(memory === undefined ? [] : [["memory.max", String(memory - (memory % page))] as const]),
    ...(pids === undefined ? [] : [["pids.max", String(pids)] as const]),
  ];
  for (const [file, value] of wanted) {
    const found = read(file);
    if (found === value) continue;
    const wrong = `systemd did not set ${file} in ${path} (it is ${found}): that controller may not be delegated to systemd`;
    throw new IsolateError("cannot-limit", { wrong });
  }
}
