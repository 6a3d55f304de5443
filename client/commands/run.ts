/** `isolate -z TEMPLATE COMMAND` and `isolate -t DIR COMMAND`. */
import { IsolateError } from "../../daemon/protocol/errors.ts";
import { engineOf } from "../../engines/index.ts";
import type { LaunchSpec } from "../../engines/spec.ts";
import { looker, probeHost } from "../host.ts";
import { launch } from "../launch.ts";
import { askLease, awaitLease, type Lease, type LeaseAsk } from "../lease.ts";
import type { Libc } from "../libc.ts";
import { SystemCallError } from "../libc-call.ts";
import type { RootCalls } from "../libc-root.ts";
import type { RunRequest } from "../options.ts";
import { type HostFacts, plan, type Root } from "../plan.ts";
import type { Print } from "../print.ts";
import type { Identity } from "../root.ts";
import { leaveWaker } from "../wake.ts";

export interface RunContext {
  readonly socket: string;
  readonly environment: HostFacts["environment"];
  readonly libc: Libc;
  /** Loaded only when root calls. */
  readonly rootCalls: () => Promise<RootCalls>;
  readonly print: Print;
}

/** Does not return unless it fails: the process becomes the engine. */
export async function run(request: RunRequest, context: RunContext): Promise<never> {
  const engine = engineOf(request.engine);
  if (!engine) throw new IsolateError("usage", { wrong: `the engine '${request.engine}' is not there yet` });
  const ask = leaseAsk(request, context.socket);
  // The daemon works while we look around, unless a path of the user's may be wrong: that must cost no clone.
  const early = ask && request.binds.length === 0 ? askLease(ask, context.libc) : undefined;
  const facts = probeHost(request, context.libc, context.environment);
  const { root, identity } = ask
    ? await leasedRoot(awaitLease(early ?? askLease(ask, context.libc), ask, context.libc, context.print), context)
    : await ownRoot(facts);
  const planned = plan(request, facts, root, looker(context.libc));
  const spec = facts.uid === 0 ? await withoutRoot(planned, facts, identity, context) : planned;
  const { argv } = engine(spec);
  context.print.trace(() => `exec: ${[facts.engine, ...argv].map(quote).join(" ")}`);
  return launch(
    {
      program: facts.engine,
      argv,
      descriptors: [root.lease, root.userns].filter((fd) => fd !== undefined),
      foreground: facts.foreground,
      descriptorLimit: facts.descriptorLimit,
    },
    context.libc,
  );
}

interface Taken {
  readonly root: Root;
  /** Undefined where the engine makes a namespace of one id for the caller. */
  readonly identity: Identity | undefined;
}

/** Undefined for a directory, which needs no daemon. */
function leaseAsk({ root, wait, command }: RunRequest, socket: string): LeaseAsk | undefined {
  return "directory" in root ? undefined : { socket, ...root, wait, command };
}

async function leasedRoot({ descriptor, grant }: Lease, { socket, libc, print }: RunContext): Promise<Taken> {
  // While we are still who the daemon's socket lets in.
  if (grant.onDemand) await leaveWaker(socket);
  print.trace(() => `lease ${grant.lease} of ${grant.snapshot} at ${grant.view}`);
  const userns = openUserns(grant.userns, libc);
  const root = { path: grant.view, name: grant.lease, userns, lease: descriptor };
  return { root, identity: { uid: grant.uid, gid: grant.gid, userns } };
}

async function ownRoot({ uid, directory: path = "" }: HostFacts): Promise<Taken> {
  const identity = uid === 0 ? await (await import("../own-userns.ts")).makeUserns() : undefined;
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

async function withoutRoot(
  spec: LaunchSpec,
  facts: HostFacts,
  identity: Identity | undefined,
  context: RunContext,
): Promise<LaunchSpec> {
  const { attachTrees, giveUpRoot, stage } = await import("../root.ts");
  const calls = await context.rootCalls();
  if (!identity) throw new IsolateError("missing-protection", { what: "root has no identity to take on" });
  const own = [...facts.sources.map(({ path }) => path), ...(facts.directory === undefined ? [] : [facts.directory])];
  const { trees, spec: staged } = stage(spec, new Set(own));
  attachTrees(trees, identity.userns, calls);
  giveUpRoot(identity, calls);
  return staged;
}

function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
