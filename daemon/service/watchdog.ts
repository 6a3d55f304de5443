/** Checks that the daemon answers at its socket, and that the database answers. */
import { request } from "node:http";
import type { Logger } from "pino";
import { routes } from "../../protocol/routes.ts";

export interface WatchdogOptions {
  /** The socket where clients reach the daemon. */
  readonly socket: string;
  /** Throws if the database does not answer. */
  readonly checkStore: () => void;
  /** The longest time between two calls of `alive`, in milliseconds. */
  readonly period: number;
  readonly alive: () => void;
  readonly log: Logger;
}

/**
 * Calls `alive` as long as the database answers and a request to the daemon's own socket is answered, by the same event
 * loop and routes as every request. Returns a function that stops it.
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

/**
 * Sends the request of `isolate pool`, which is answered from memory: a slow storage must not look like a dead daemon.
 */
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
