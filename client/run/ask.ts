/**
 * The stage that asks the daemon for a clone. While the daemon works, this process probes the host and bubblewrap
 * loads.
 */

import type { RunContext } from "./context.ts";
import type { ContainerFacts } from "./extras.ts";
import { probeHost } from "./host.ts";
import { askLease } from "./lease.ts";
import { inherited } from "./options/role.ts";
import type { HostFacts } from "./plan.ts";
import type { Checked } from "./preflight.ts";
import { type Prestart, prestart } from "./prestart.ts";

export interface Probed {
  readonly facts: HostFacts;
  /** `undefined` unless the engine boots a container. */
  readonly container: ContainerFacts | undefined;
}

export interface Asked {
  /** The connection on which the daemon will answer; `undefined` if this process does not ask. */
  readonly connection: number | undefined;
  /** Both ends of a pipe for the monitor's orders to isolate-init; empty for a container. */
  readonly orders: readonly [read: number, write: number] | readonly [];
  /** The engine, if it loads while the daemon works. */
  readonly engine: Prestart | undefined;
}

/**
 * Asks early, so that the daemon works while this process probes the host. Does not ask if a bind path may be invalid:
 * a usage error must not consume a clone. Throws `not-running`, `socket-forbidden` and `lost-daemon`.
 */
export function askEarly({ request, engine, leaseAsk }: Checked, { libc }: RunContext): number | undefined {
  const may = engine && request.binds.length === 0 && inherited(request.role) === undefined;
  return leaseAsk && may ? askLease(leaseAsk, libc) : undefined;
}

/** Probes the host. Throws `missing-program`, `missing-protection`, `bad-bind`, `bad-root` and `cannot-boot`. */
export async function probe(
  { request, engine, session, privateNetwork }: Checked,
  { libc, environment, descriptorLimit, extras }: RunContext,
): Promise<Probed> {
  const known = { environment, descriptorLimit: descriptorLimit(), session, privateNetwork };
  const facts = probeHost(request, libc, known);
  if (engine) return { facts, container: undefined };
  const caller = { uid: facts.uid, runtimeDirectory: environment.XDG_RUNTIME_DIR };
  return { facts, container: (await extras()).probeContainerHost(request, caller) };
}

/** Asks for a clone unless `askEarly` has, and starts the engine before the lease arrives if possible. */
export function ask(
  { request, engine, leaseAsk, filter, privileges }: Checked,
  facts: HostFacts,
  early: number | undefined,
  context: RunContext,
): Asked {
  const { libc } = context;
  const isMine = leaseAsk && inherited(request.role) === undefined;
  const connection = isMine ? (early ?? askLease(leaseAsk, libc)) : undefined;
  const orders = engine ? libc.pipe() : ([] as const);
  const known = { lease: connection, monitor: orders[0], filter, privileges };
  return { connection, orders, engine: prestart(request, facts, known, context) };
}
