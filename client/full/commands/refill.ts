/** `isolate -r TEMPLATE N`: returns when the pool has the requested state. */
import type { ErrorCode } from "../../../protocol/errors.ts";
import { Refusal } from "../../../protocol/refusal.ts";
import type { RefillRequest } from "../../run/options/requests.ts";
import type { Print, Verbosity } from "../../run/report/print.ts";
import type { Api } from "../api.ts";
import { printPools } from "./pool.ts";

export async function refill(request: RefillRequest, api: Api, print: Print, verbosity: Verbosity): Promise<void> {
  const { notes, ...pool } = await throughRestarts(() => api.call("setPool", { body: request }), print);
  if (verbosity !== "quiet") printPools([pool], print);
  for (const note of notes) print.warn(note);
}

/** Of a daemon that is being stopped it is asked again: its socket leads to the next one. A run does the same. */
async function throughRestarts<T>(act: () => Promise<T>, print: Print): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const stopping: ErrorCode = "draining";
      if (!(error instanceof Refusal) || error.code !== stopping) throw error;
      print.info("the daemon is being restarted: waiting for it");
    }
  }
}
