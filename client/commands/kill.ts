/** `isolate kill LEASE`: returns when the sandbox and its clone are gone. */
import type { Api } from "../api.ts";
import type { Print } from "../print.ts";

export async function kill(lease: string, api: Api, print: Print): Promise<void> {
  const killed = await api.call("kill", { query: { lease } });
  print.info(`ended ${killed.lease}`);
}
