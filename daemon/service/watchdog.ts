/** Is the daemon what its clients need: does it answer at its socket, and does the database? */
import { request } from "node:http";
import type { Logger } from "pino";
import { routes } from "../../protocol/routes.ts";

export interface WatchdogOptions {
  /** Where clients reach the daemon. */
  readonly socket: string;
  /** Throws when the database does not answer. */
  readonly checkStore: () => void;
  /** Milliseconds within which each `alive` must follow the one before. */
  readonly period: number;
  readonly alive: () => void;
  readonly log: Logger;
}

/**
 * Calls `alive` as long as a request to the daemon's own socket is answered, by the same event loop and the same routes
 * as everybody's, and the database answers. Returns what ends it.
 */
export function feedWatchdog({ socket, checkStore, period, alive, log }: WatchdogOptions): () => void {
  const interval = period / 3;
  const check = async (): Promise<void> => {
    try {
      checkStore();
      await askPools(socket, interval);
      alive();
    } catch (error) {
      log.error({ err: error }, "the daemon does not answer itself");
    }
  };
  const timer = setInterval(check, interval);
  void check();
  return () => clearInterval(timer);
}

/** What a member asks for by `isolate pool`: from memory, so that a slow storage does not count as a dead daemon. */
function askPools(socket: string, timeout: number): Promise<void> {
  const { method, path } = routes.pools;
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: socket, method, path, agent: false, timeout }, (response) => {
      response.resume();
      response.once("error", reject);
      response.once("end", () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`the answer at ${socket} is HTTP ${response.statusCode}`));
      });
    });
    asked.once("timeout", () => asked.destroy(new Error(`no answer at ${socket} within ${Math.round(timeout)} ms`)));
    asked.once("error", reject);
    asked.end();
  });
}
