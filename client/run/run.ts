/** `isolate -z TEMPLATE COMMAND` and `isolate -t DIR COMMAND`. */

import { bwrapLine } from "../../engines/bwrap.ts";
import { engines } from "../../engines/capabilities.ts";
import { engineOf } from "../../engines/index.ts";
import { watchEngine } from "../../engines/monitor.ts";
import type { LaunchSpec } from "../../engines/spec.ts";
import { IsolateError } from "../../protocol/errors.ts";
import { type BaseIds, readBaseIds, usersEnd } from "../../protocol/ids.ts";
import type { ContainerFacts } from "../full/lxc/host.ts";
import { expectNobodysTerminal } from "./base-ids.ts";
import { attachTrees, giveUpRoot, type Identity, stage, toBeMapped } from "./drop-root.ts";
import { openFilter } from "./filter-file.ts";
import { looker, probeHost } from "./host.ts";
import { launch } from "./launch.ts";
import { askLease, awaitLease, type Lease, type LeaseAsk } from "./lease.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";
import type { RootCalls } from "./linux/root-calls.ts";
import { hasLimits } from "./options/limits.ts";
import type { RunRequest } from "./options/options.ts";
import { choosePrivileges } from "./options/privileges.ts";
import { type HostFacts, plan, type Root, usualCapabilities, usualPrivileges } from "./plan.ts";
import { type Starter, startAhead } from "./prestart.ts";
import type { Print } from "./report/print.ts";
import { enterScope, expectLimits } from "./scope.ts";
import { readLease, readLeased, stay } from "./stay.ts";

type Whole = typeof import("../full/extras.ts");

export interface RunContext {
  readonly socket: string;
  readonly environment: HostFacts["environment"];
  /** This program, and its script where a runtime runs it; and what it was given. */
  readonly self: readonly string[];
  readonly words: readonly string[];
  readonly libc: Libc;
  readonly rootCalls: RootCalls;
  /** The soft limit that this process was started with. */
  readonly descriptorLimit: () => number;
  /** Undefined where the runtime has none. */
  readonly starter: Starter | undefined;
  /** For what `needsWhole` says. */
  readonly whole: () => Promise<Whole>;
  readonly print: Print;
}

/** Whether the run takes more than the starter has: see `whole.ts`. */
export function needsWhole({ engine, screen, sound, network, root }: RunRequest, uid: number): boolean {
  return (
    engineOf(engine) === undefined ||
    screen !== undefined ||
    sound ||
    network === "private" ||
    ("directory" in root && uid === 0)
  );
}

/** Does not return unless it fails: the process becomes what watches over the engine. */
export async function run(request: RunRequest, context: RunContext): Promise<never> {
  const engine = engineOf(request.engine);
  if (engines[request.engine].rootOnly && context.libc.uid() !== 0)
    throw new IsolateError("not-root", { what: `use the engine '${request.engine}'` });
  const ids = chosenIds(request, context.libc);
  warn(request, ids, context);
  // Hooks are not held to limits: the client that comes between them is.
  if (engine && hasLimits(request.limits) && !request.hooks) limit(request, context);
  const filter = request.seccomp.kind === "file" ? openFilter(request.seccomp.path, context.libc) : undefined;
  const privileges =
    request.capabilities === undefined
      ? usualPrivileges
      : choosePrivileges(request.capabilities, usualCapabilities, request.network);
  const session =
    request.screen || request.sound ? await (await context.whole()).probeSession(request, ids, context) : undefined;
  const privateNetwork =
    request.network === "private" ? (await context.whole()).preparePrivateNetwork(context.libc) : undefined;
  const ask = leaseAsk(request, ids, context.socket);
  // The daemon works while we look around, unless a path of the user's may be wrong: that must cost no clone.
  const mayAsk = ask && engine && request.binds.length === 0 && request.leased === undefined;
  const early = mayAsk ? askLease(ask, context.libc) : undefined;
  const { environment } = context;
  const descriptorLimit = context.descriptorLimit();
  const facts = probeHost(request, context.libc, { environment, descriptorLimit, session, privateNetwork });
  const container = engine ? undefined : await probeContainer(request, facts, context);
  const asked = ask && request.leased === undefined ? (early ?? askLease(ask, context.libc)) : undefined;
  const [orders, pipe] = engine ? context.libc.pipe() : [];
  const ahead = startAhead(request, facts, { lease: asked, monitor: orders, filter, privileges }, context);
  const lease = ask && takeLease(request, asked, ask, () => ahead?.drop(), context);
  if (hasToStay(request, facts, lease)) becomeMonitor(request, facts, lease, context);
  const { root: bare, identity } = lease ? leasedRoot(lease, context) : await ownRoot(facts, ids, context);
  const started = ahead?.fits(bare.userns) ? ahead : undefined;
  const root = { ...bare, userns: started?.userns ?? bare.userns, filter, privileges, monitor: orders };
  const planned = plan(request, facts, root, looker(context.libc));
  if (!engine || container || pipe === undefined) {
    if (!container) throw new Error("no engine, and no container either");
    const { runContainer } = await context.whole();
    const { userns, lease: descriptor } = root;
    return runContainer({ request, facts, host: container, ids, spec: planned, userns, lease: descriptor }, context);
  }
  const spec = facts.uid === 0 ? withoutRoot(planned, { facts, ids, identity }, context) : planned;
  // Where this client's parent is a monitor already, that one does it.
  const wake = lease?.grant.onDemand && request.leased === undefined ? context.socket : undefined;
  const { connection } = spec;
  const front = connection ? [connection.path, ...connection.argv] : [];
  const watch = { pipe, newSession: spec.newSession, wake };
  const invocation = engine(spec);
  const whole = watchEngine(watch, [...front, facts.engine, ...bwrapLine(invocation)]);
  context.print.trace(() => `exec: ${[spec.monitor, ...whole].map(quote).join(" ")}`);
  started?.tell(invocation.options);
  return launch(
    {
      program: spec.monitor,
      argv: started ? watchEngine(watch, started.pid) : whole,
      environment: undefined,
      newKeyring: !started,
      descriptors: [...descriptorsOf(spec), pipe],
      ignoreInterrupt: request.ignoreInterrupt,
      descriptorLimit: facts.descriptorLimit,
    },
    context.libc,
  );
}

/** Those that the engine, and what stands in front of it and inside, are told of. */
function descriptorsOf({ userns, connection, init, mounts }: LaunchSpec): number[] {
  const { leaseDescriptor, heldDescriptor, monitorDescriptor, networkDescriptor, filterDescriptor } = init;
  const ofInit = [leaseDescriptor, heldDescriptor, monitorDescriptor, networkDescriptor, filterDescriptor];
  const data = mounts.map((mount) => (mount.kind === "data" ? mount.descriptor : undefined));
  return [userns, ...(connection?.descriptors ?? []), ...ofInit, ...data].filter((fd) => fd !== undefined);
}

/** For the hooks; and to start the daemon at the end, where the engine's own monitor cannot. */
function hasToStay({ hooks, leased, engine }: RunRequest, { uid }: HostFacts, lease: Lease | undefined): boolean {
  if (leased !== undefined) return false;
  return hooks !== undefined || (lease?.grant.onDemand === true && (uid === 0 || engineOf(engine) === undefined));
}

function becomeMonitor(
  { hooks, ignoreInterrupt }: RunRequest,
  { monitor, descriptorLimit, directory }: HostFacts,
  lease: Lease | undefined,
  { socket, self, words, environment, libc }: RunContext,
): never {
  const rootfs = lease?.grant.view ?? directory ?? "";
  const wanted = { monitor, hooks, rootfs, lease, socket, self, words, environment, ignoreInterrupt, descriptorLimit };
  return stay(wanted, libc);
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

/** What is not as safe as it could be; also under -q. */
function warn(request: RunRequest, ids: BaseIds | undefined, { print, libc }: RunContext): void {
  const { engine, seccomp, scope, leased, network, abstractSockets } = request;
  if (scope !== undefined || leased !== undefined) return; // said before this process was started again
  if (ids && Math.min(ids.uid, ids.gid) < usersEnd)
    print.warn(
      `the sandbox can take on ids that users of the host have: all below ${usersEnd} from -u or -g on`,
      "give ids that nobody has, such as -u 1000000",
    );
  if (engine === "chroot")
    print.warn(
      "the engine 'chroot' does not isolate: the command has the host's network, IPC and /sys",
      "use the engine 'bwrap' for what you do not trust",
    );
  if (engine === "bwrap" && network === "host" && !abstractSockets && !libc.scopesSockets())
    print.warn(
      "the host's abstract Unix sockets can be reached: this kernel cannot close them (Landlock, Linux 6.12)",
      "use --net=private, or say --abstract-sockets where they may be",
    );
  if (seccomp.kind === "none")
    print.warn(
      "no system call is refused: the command can type into the terminal that it was started from",
      "leave out --seccomp=none and DISABLE_SECCOMP_WRAPPER, or use --seccomp=tty",
    );
}

/** Returns only in a process that is held to the limits. */
function limit({ limits, scope, leased }: RunRequest, { libc, self, words, environment }: RunContext): void {
  if (scope !== undefined) {
    expectLimits(limits, scope, libc);
    return;
  }
  const lease = leased === undefined ? undefined : readLeased(leased);
  const descriptors = lease ? [lease.descriptor] : [];
  enterScope(limits, { self, words, environment, uid: libc.uid(), descriptors }, libc);
}

async function probeContainer(
  request: RunRequest,
  { uid, environment }: HostFacts,
  { whole }: RunContext,
): Promise<ContainerFacts> {
  const { probeContainerHost } = await whole();
  return probeContainerHost(request, { uid, runtimeDirectory: environment.XDG_RUNTIME_DIR });
}

interface Taken {
  readonly root: Omit<Root, "filter" | "privileges" | "monitor">;
  /** Undefined where the engine makes a namespace of one id for the caller. */
  readonly identity: Identity | undefined;
}

/** Undefined for a directory, which needs no daemon. */
function leaseAsk({ root, wait, command }: RunRequest, ids: BaseIds | undefined, socket: string): LeaseAsk | undefined {
  return "directory" in root ? undefined : { socket, ...root, wait, ids, command };
}

/** `anew`: what was begun with the first connection is of no use. */
function takeLease(
  { leased }: RunRequest,
  asked: number | undefined,
  ask: LeaseAsk,
  anew: () => void,
  { libc, print }: RunContext,
): Lease {
  if (leased !== undefined) return readLease(leased);
  const again = (): number => {
    anew();
    return askLease(ask, libc);
  };
  return awaitLease(asked ?? again(), ask, again, { libc, print });
}

function leasedRoot({ descriptor, grant }: Lease, { libc, print }: RunContext): Taken {
  print.trace(() => `lease ${grant.lease} of ${grant.snapshot} at ${grant.view}`);
  const userns = openUserns(grant.userns, libc);
  const root = { path: grant.view, name: grant.lease, userns, lease: descriptor };
  return { root, identity: { uid: grant.uid, gid: grant.gid, userns } };
}

async function ownRoot(
  { uid, directory: path = "" }: HostFacts,
  ids: BaseIds | undefined,
  { whole }: RunContext,
): Promise<Taken> {
  const identity = uid === 0 ? await (await whole()).makeUserns(ids) : undefined;
  const name = path.slice(path.lastIndexOf("/") + 1);
  return { root: { path, name, userns: identity?.userns, lease: undefined }, identity };
}

function openUserns(path: string, libc: Libc): number {
  try {
    return libc.open(path);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw new IsolateError("system-call", { call: `open ${path}`, cause: error.errno }, error);
  }
}

function withoutRoot(
  spec: LaunchSpec,
  { facts, ids, identity }: { facts: HostFacts; ids: BaseIds | undefined; identity: Identity | undefined },
  { libc, rootCalls: calls }: RunContext,
): LaunchSpec {
  if (!identity) throw new IsolateError("missing-protection", { what: "root has no identity to take on" });
  const { trees, spec: staged } = stage(spec, toBeMapped(facts, ids, libc));
  attachTrees(trees, identity.userns, calls, libc);
  giveUpRoot(identity, calls, libc);
  return staged;
}

function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
