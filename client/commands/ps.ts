/** `isolate ps`. */
import type { Api } from "../api.ts";
import type { Print } from "../print.ts";

export async function ps(api: Api, print: Print, json: boolean): Promise<void> {
  const leases = await api.call("leases", {});
  if (json) return print.json(leases);
  print.table(
    ["LEASE", "TEMPLATE", "USER", "PID", "SINCE", "COMMAND"],
    leases.map(({ lease, template, user, pid, since, command }) => [lease, template, user, pid, since, command]),
  );
}
