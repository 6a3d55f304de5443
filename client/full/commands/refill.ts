/** `isolate -r TEMPLATE N`: returns when the pool has the requested state. */

import type { RefillRequest } from "../../run/options/options.ts";
import type { Print, Verbosity } from "../../run/report/print.ts";
import type { Api } from "../api.ts";
import { printPools } from "./pool.ts";

export async function refill(request: RefillRequest, api: Api, print: Print, verbosity: Verbosity): Promise<void> {
  const pool = await api.call("setPool", { body: request });
  if (verbosity !== "quiet") printPools([pool], print);
}
