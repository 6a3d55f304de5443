/** `isolate ps`. */

import type { Print } from "../../run/report/print.ts";
import type { Api } from "../api.ts";
import { bytesAsOf, duration } from "./quantities.ts";

export async function ps(api: Api, print: Print, json: boolean): Promise<void> {
  const leases = await api.call("leases", {});
  if (json) return print.json(leases);
  const now = Date.now();
  print.table(
    ["LEASE", "KIND", "TEMPLATE", "USER", "PID", "AGE", "WRITTEN", "COMMAND"],
    leases.map(({ lease, kind, template, user, pid, since, written, countedAt: at, command }) => [
      lease,
      kind,
      template,
      user,
      pid,
      duration(now - Date.parse(since)),
      bytesAsOf(written, at, now),
      command,
    ]),
  );
}
