/** The last stage: this process becomes the monitor of the engine. */
import { bwrapLine } from "../../engines/bwrap.ts";
import { watchEngine } from "../../engines/monitor.ts";
import type { LaunchSpec } from "../../engines/spec.ts";
import { IsolateError } from "../../protocol/errors.ts";
import type { Asked, Probed } from "./ask.ts";
import type { RunContext } from "./context.ts";
import { attachTrees, giveUpRoot, stage, toBeMapped } from "./drop-root.ts";
import { launch } from "./launch.ts";
import type { Checked } from "./preflight.ts";
import type { Settled } from "./settle.ts";

export interface Prepared {
  readonly checked: Checked;
  readonly probed: Probed;
  readonly orders: Asked["orders"];
  readonly settled: Settled;
  readonly spec: LaunchSpec;
}

/** Returns only by throwing: `system-call`, `missing-protection`, `cannot-boot`. */
export async function become(prepared: Prepared, context: RunContext): Promise<never> {
  const { checked, probed, orders, settled, spec: planned } = prepared;
  const { request, engine } = checked;
  const [, pipe] = orders;
  if (!engine || pipe === undefined) return becomeContainer(prepared, context);
  const spec = probed.facts.uid === 0 ? withoutRoot(prepared, context) : planned;
  const { connection } = spec;
  const front = connection ? [connection.path, ...connection.argv] : [];
  const watch = { pipe, newSession: spec.newSession, wake: settled.wakesDaemon ? context.socket : undefined };
  const invocation = engine(spec);
  const whole = watchEngine(watch, [...front, probed.facts.engine, ...bwrapLine(invocation)]);
  context.print.trace(() => `exec: ${[spec.monitor, ...whole].map(quote).join(" ")}`);
  const started = settled.engine;
  started?.tell(invocation.options);
  return launch(
    {
      program: spec.monitor,
      argv: started ? watchEngine(watch, started.pid) : whole,
      environment: undefined,
      newKeyring: !started,
      descriptors: [...descriptorsOf(spec), pipe],
      ignoreInterrupt: request.ignoreInterrupt,
      descriptorLimit: probed.facts.descriptorLimit,
    },
    context.libc,
  );
}

async function becomeContainer(
  { checked: { request, ids }, probed: { facts, container: host }, settled: { root }, spec }: Prepared,
  context: RunContext,
): Promise<never> {
  if (!host) throw new Error("no engine, and no container either");
  const { userns, lease } = root;
  return (await context.extras()).runContainer({ request, facts, host, ids, spec, userns, lease }, context);
}

/** Returns the descriptors to keep open across exec: those passed to the engine, its wrapper and isolate-init. */
function descriptorsOf({ userns, connection, init, mounts }: LaunchSpec): number[] {
  const { leaseDescriptor, heldDescriptor, monitorDescriptor, networkDescriptor, filterDescriptor } = init;
  const ofInit = [leaseDescriptor, heldDescriptor, monitorDescriptor, networkDescriptor, filterDescriptor];
  const data = mounts.map((mount) => (mount.kind === "data" ? mount.descriptor : undefined));
  return [userns, ...(connection?.descriptors ?? []), ...ofInit, ...data].filter((fd) => fd !== undefined);
}

function withoutRoot(
  { checked: { ids }, probed: { facts }, settled: { identity }, spec }: Prepared,
  { libc, rootCalls: calls }: RunContext,
): LaunchSpec {
  if (!identity) throw new IsolateError("missing-protection", { what: "root has no identity to take on" });
  const { trees, spec: staged } = stage(spec, toBeMapped(facts, ids, libc));
  attachTrees(trees, { userns: identity.userns, opened: facts.opened }, calls, libc);
  giveUpRoot(identity, calls, libc);
  return staged;
}

function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
