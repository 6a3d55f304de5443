/** Connections of a client that is not isolate, from a process of the given user: see raw-client.ts. */
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { eventually, finished, start, type User } from "./process.ts";
import { projectRoot } from "./project.ts";
import type { RawEvent } from "./raw-client.ts";

export type Raw = ReturnType<typeof openRaw>;

/** The text received on one connection, and how the connection ended: `end`, or the name of an errno. */
export interface RawState {
  readonly text: string;
  readonly ended: string | undefined;
}

export function openRaw(socket: string, as: User, connections: readonly (readonly string[])[]) {
  const script = join(projectRoot, "dist/js/test/support/raw-client.js");
  const child: ChildProcess = start(["node", script, socket], { as });
  const states: { text: string; ended: string | undefined }[] = connections.map(() => ({ text: "", ended: undefined }));
  let partial = "";
  let complaints = "";
  child.stderr?.on("data", (data: Buffer) => {
    complaints += data;
  });
  child.stdin?.on("error", () => undefined);
  child.stdin?.write(`${JSON.stringify(connections)}\n`);
  child.stdout?.on("data", (data: Buffer) => {
    const lines = (partial + data).split("\n");
    partial = lines.pop() ?? "";
    for (const line of lines) {
      const event = JSON.parse(line) as RawEvent;
      const state = states[event.connection];
      if (!state) continue;
      if ("text" in event) state.text += event.text;
      else state.ended = event.ended;
    }
  });

  return {
    pid: child.pid ?? 0,
    states: states as readonly RawState[],
    /** Resolves with all states once `enough` is true for each. */
    until: (what: string, enough: (state: RawState) => boolean): Promise<readonly RawState[]> =>
      eventually(what, () => (states.every(enough) ? states : null), 60_000).catch((error: unknown) => {
        throw new Error(`${(error as Error).message}; there is ${JSON.stringify(states.slice(0, 3))}${complaints}`);
      }),
    /** Ends the process, and thereby every connection. */
    async close(): Promise<void> {
      if (child.exitCode === null && child.signalCode === null) await finished(child);
    },
  };
}

/** Sends the chunks on a new connection and returns everything received until the daemon ends it. */
export async function exchange(socket: string, as: User, ...chunks: string[]): Promise<string> {
  const raw = openRaw(socket, as, [chunks]);
  try {
    const [state] = await raw.until("the daemon ends the connection", ({ ended }) => ended !== undefined);
    return state?.text ?? "";
  } finally {
    await raw.close();
  }
}

/** `fields` are complete header lines. */
export function httpRequest(line: string, fields: readonly string[] = ["Connection: close"], body = ""): string {
  return [`${line} HTTP/1.1`, "Host: isolate", ...fields, "", body].join("\r\n");
}

export const upgrade = ["Connection: Upgrade", "Upgrade: isolate-lease"] as const;

export const leaseRequest = (template: string, more = ""): string =>
  httpRequest(`GET /v1/lease?template=${encodeURIComponent(template)}${more}`, upgrade);
