/** The first stage of a run: every check that can refuse the run before anything is spent on it. */

import { engines } from "../../engines/features.ts";
import { engineOf, type ProcessEngine } from "../../engines/index.ts";
import { IsolateError } from "../../protocol/errors.ts";
import { type BaseIds, readBaseIds, usersEnd } from "../../protocol/ids.ts";
import { expectNobodysTerminal } from "./base-ids.ts";
import type { RunContext } from "./context.ts";
import { openFilter } from "./filter-file.ts";
import type { LeaseAsk } from "./lease.ts";
import type { Libc } from "./linux/libc.ts";
import { hasLimits } from "./options/limits.ts";
import { choosePrivileges, type Privileges } from "./options/privileges.ts";
import type { RunRequest } from "./options/requests.ts";
import { inherited } from "./options/role.ts";
import { type PrivateNetwork, usualCapabilities, usualPrivileges } from "./plan.ts";
import { enterScope, expectLimits } from "./scope.ts";
import type { Shown } from "./shown.ts";
import { readLeased } from "./stay.ts";

/** A run that has passed the checks. */
export interface Checked {
  readonly request: RunRequest;
  /** `undefined` for an engine that boots a container. */
  readonly engine: ProcessEngine | undefined;
  /** The ids that root chose. */
  readonly ids: BaseIds | undefined;
  /** Descriptor of a compiled filter. */
  readonly filter: number | undefined;
  readonly privileges: Privileges;
  readonly session: Shown | undefined;
  readonly privateNetwork: PrivateNetwork | undefined;
  /** `undefined` for a directory, which needs no daemon. */
  readonly leaseAsk: LeaseAsk | undefined;
}

/** Checks a request. Does not return if the run has to continue in a systemd scope. */
export async function preflight(request: RunRequest, context: RunContext): Promise<Checked> {
  const engine = engineOf(request.engine);
  if (engines[request.engine].rootOnly && context.libc.uid() !== 0)
    throw new IsolateError("not-root", { what: `use the engine '${request.engine}'` });
  const ids = chosenIds(request, context.libc);
  warn(request, ids, context);
  // The limits do not apply to hooks. They apply to the client that runs between them.
  if (engine && hasLimits(request.limits) && !request.hooks) limit(request, context);
  return {
    request,
    engine,
    ids,
    filter: request.seccomp.kind === "file" ? openFilter(request.seccomp.path, context.libc) : undefined,
    privileges:
      request.capabilities === undefined
        ? usualPrivileges
        : choosePrivileges(request.capabilities, usualCapabilities, request.network),
    session:
      request.screen || request.sound ? await (await context.extras()).probeSession(request, ids, context) : undefined,
    privateNetwork:
      request.network === "private" ? (await context.extras()).preparePrivateNetwork(context.libc) : undefined,
    leaseAsk: leaseAsk(request, ids, context.socket),
  };
}

/** Throws `not-root`, `bad-ids` and `terminal-of-others`. */
function chosenIds({ ids, engine }: RunRequest, libc: Libc): BaseIds | undefined {
  if (!ids) return undefined;
  if (libc.uid() !== 0) throw new IsolateError("not-root", { what: "choose ids (-u, -g)" });
  const base = readBaseIds(ids);
  // A container has a terminal of its own.
  if (base && engine !== "lxc") expectNobodysTerminal(base, libc);
  return base;
}

/** Warns of everything that is less safe than it could be, even with -q. */
function warn(request: RunRequest, ids: BaseIds | undefined, { print, libc }: RunContext): void {
  const { engine, seccomp, role, network, abstractSockets } = request;
  if (role.kind !== "first") return; // the first process has said it
  if (ids && Math.min(ids.uid, ids.gid) < usersEnd)
    print.warn(
      `the sandbox can take on the ids of host users: all ids from -u or -g up to ${usersEnd - 1}`,
      "choose ids that no user has, such as -u 1000000",
    );
  if (engine === "chroot")
    print.warn(
      "the engine 'chroot' does not isolate: the command has the host's network, IPC and /sys",
      "use the engine 'bwrap' for commands that you do not trust",
    );
  if (engine === "bwrap" && network === "host" && !abstractSockets && !libc.scopesSockets())
    print.warn(
      "the host's abstract Unix sockets can be reached: this kernel cannot close them (Landlock, Linux 6.12)",
      "use --net=private, or allow them with --abstract-sockets",
    );
  if (seccomp.kind === "none")
    print.warn(
      "no system call is blocked: the command can type into the terminal that it was started from",
      "remove --seccomp=none and DISABLE_SECCOMP_WRAPPER, or use --seccomp=tty",
    );
}

/** Returns only in a process to which the limits apply. */
function limit({ limits, role }: RunRequest, { libc, self, words, environment }: RunContext): void {
  if (role.kind === "in-scope") {
    expectLimits(limits, role.unit, libc);
    return;
  }
  const given = inherited(role);
  const lease = given === undefined ? undefined : readLeased(given);
  const descriptors = lease ? [lease.descriptor] : [];
  enterScope(limits, { self, words, environment, uid: libc.uid(), descriptors }, libc);
}

function leaseAsk({ root, wait, command }: RunRequest, ids: BaseIds | undefined, socket: string): LeaseAsk | undefined {
  return "directory" in root ? undefined : { socket, ...root, wait, ids, command };
}
