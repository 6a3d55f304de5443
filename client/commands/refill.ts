/** `isolate -r TEMPLATE N`: returns when the pool is right. */
import type { Api } from "../api.ts";
import type { RefillRequest } from "../options.ts";
import type { Print, Verbosity } from "../print.ts";
import { printPools } from "./pool.ts";

export async function refill(request: RefillRequest, api: Api, print: Print, verbosity: Verbosity): Promise<void> {
  const pool = await api.call("setPool", { body: request });
  if (verbosity !== "quiet") printPools([pool], print);
}
