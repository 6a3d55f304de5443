/**
 * `isolate -z TEMPLATE COMMAND` and `isolate -t DIR COMMAND`, as stages: each takes the results of the earlier ones.
 */
import { ask, askEarly, probe } from "./ask.ts";
import { become } from "./become.ts";
import type { RunContext } from "./context.ts";
import { looker } from "./host.ts";
import type { RunRequest } from "./options/requests.ts";
import { plan } from "./plan.ts";
import { preflight } from "./preflight.ts";
import { settle } from "./settle.ts";

/** Runs the command. Returns only by throwing: the process becomes the engine's monitor. */
export async function run(request: RunRequest, context: RunContext): Promise<never> {
  const checked = await preflight(request, context);
  const early = askEarly(checked, context);
  const probed = await probe(checked, context);
  const asked = ask(checked, probed.facts, early, context);
  const settled = await settle(checked, probed.facts, asked, context);
  const spec = plan(request, probed.facts, settled.root, looker(context.libc, probed.facts.opened));
  return become({ checked, probed, orders: asked.orders, settled, spec }, context);
}
