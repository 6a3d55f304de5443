/** The stage that determines the command's root: a leased clone, or the caller's directory. */
import { engineOf } from "../../engines/index.ts";
import { IsolateError } from "../../protocol/errors.ts";
import type { BaseIds } from "../../protocol/ids.ts";
import type { Asked } from "./ask.ts";
import type { RunContext } from "./context.ts";
import type { Identity } from "./drop-root.ts";
import { isPastSigned } from "./extras.ts";
import { askLease, awaitLease, type Lease, type LeaseAsk } from "./lease.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";
import type { RunRequest } from "./options/requests.ts";
import { inherited } from "./options/role.ts";
import type { HostFacts, Root } from "./plan.ts";
import type { Checked } from "./preflight.ts";
import type { Prestart } from "./prestart.ts";
import { readLease, stay } from "./stay.ts";

export interface Settled {
  readonly root: Root;
  /** `undefined` if the engine makes a namespace with one id for the caller. */
  readonly identity: Identity | undefined;
  /** The engine that was started early, if it fits this root. */
  readonly engine: Prestart | undefined;
  /** Whether isolate-monitor has to connect to the daemon at the end, to start it. */
  readonly wakesDaemon: boolean;
}

/**
 * Waits for the lease, or takes the lease that an earlier process of this run got. Does not return if this process has
 * to stay as a monitor. Throws `lost-daemon`, `system-call` and `Refusal`.
 */
export async function settle(
  { request, ids, leaseAsk, filter, privileges }: Checked,
  facts: HostFacts,
  { connection, orders, engine }: Asked,
  context: RunContext,
): Promise<Settled> {
  const lease = leaseAsk && takeLease(request, connection, leaseAsk, () => engine?.drop(), context);
  const given = inherited(request.role);
  if (given === undefined && hasToStay(request, facts, lease)) becomeMonitor(request, facts, lease, context);
  const { root, identity } = lease ? leasedRoot(lease, context) : await ownRoot(facts, ids, context);
  const fitting = engine?.fits(root.userns) ? engine : undefined;
  return {
    root: { ...root, userns: fitting?.userns ?? root.userns, filter, privileges, monitor: orders[0] },
    identity,
    engine: fitting,
    wakesDaemon: lease?.grant.onDemand === true && given === undefined,
  };
}

/** A process has to stay to run the hooks, or to start the daemon at the end if the engine's monitor cannot. */
function hasToStay({ hooks, engine }: RunRequest, { uid }: HostFacts, lease: Lease | undefined): boolean {
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

interface Taken {
  readonly root: Omit<Root, "filter" | "privileges" | "monitor">;
  readonly identity: Identity | undefined;
}

/** Calls `anew` if it needs another connection: an engine that was started with the first one is then useless. */
function takeLease(
  { role }: RunRequest,
  connection: number | undefined,
  ask: LeaseAsk,
  anew: () => void,
  { libc, print }: RunContext,
): Lease {
  const given = inherited(role);
  if (given !== undefined) return readLease(given);
  const again = (): number => {
    anew();
    return askLease(ask, libc);
  };
  return awaitLease(connection ?? again(), ask, again, { libc, print });
}

function leasedRoot({ descriptor, grant }: Lease, { libc, print }: RunContext): Taken {
  print.trace(() => `lease ${grant.lease} of ${grant.snapshot} at ${grant.view}`);
  const userns = openUserns(grant.userns, libc);
  const root = { path: grant.view, name: grant.lease, userns, lease: descriptor };
  return { root, identity: { uid: grant.uid, gid: grant.gid, userns } };
}

async function ownRoot(
  { uid, gid, directory: path = "" }: HostFacts,
  ids: BaseIds | undefined,
  { extras }: RunContext,
): Promise<Taken> {
  const root = { path, name: path.slice(path.lastIndexOf("/") + 1), lease: undefined };
  if (uid === 0) {
    const identity = await (await extras()).makeUserns(ids);
    return { root: { ...root, userns: identity.userns }, identity };
  }
  const userns = isPastSigned({ uid, gid }) ? await (await extras()).makeCallersUserns({ uid, gid }) : undefined;
  return { root: { ...root, userns }, identity: undefined };
}

function openUserns(path: string, libc: Libc): number {
  try {
    return libc.open(path);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw new IsolateError("system-call", { call: `open ${path}`, cause: error.errno }, error);
  }
}
