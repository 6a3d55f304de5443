/** The user's sandboxes, which run until they are told to end. */
import type { ChildProcess } from "node:child_process";
import { eventually, finished, type Outcome, start } from "../support/process.ts";
import { leases, template, user } from "./host.ts";

export interface Sandboxes {
  /** Lets each sandbox write into its root once more and end. Returns their outcomes. */
  end(): Promise<Outcome[]>;
}

/** Resolves once all sandboxes run. */
export async function begin(count: number): Promise<Sandboxes> {
  const command = `isolate -q -z ${template} sh -c 'read line; touch /etc/alive && cat /etc/alive && echo alive'`;
  const children: ChildProcess[] = Array.from({ length: count }, () => start(["su", "-", user, "-c", command]));
  await eventually(`${count} sandboxes run`, async () => (await leases()).length === count, 60_000);
  return { end: () => Promise.all(children.map((child) => finished(child, { input: "\n", patience: 60_000 }))) };
}

/** The outcome of a sandbox that works. */
export const alive: Outcome = { code: 0, stdout: "alive\n", stderr: "" };
