/** `isolate kill LEASE`: returns after the sandbox and its clone are gone. */

import type { Print } from "../../run/report/print.ts";
import type { Api } from "../api.ts";

export async function kill(lease: string, api: Api, print: Print): Promise<void> {
  const killed = await api.call("kill", { query: { lease } });
  print.info(`ended ${killed.lease}`);
}
