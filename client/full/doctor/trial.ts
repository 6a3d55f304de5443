/** Runs a program of the host for its output, or to see whether it works. */
import { execFile } from "node:child_process";
import type { Trial } from "./facts.ts";

/** Milliseconds. */
const patience = 30_000;

export interface Outcome {
  /** null if the program could not be started, or took too long. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function run(program: string, args: readonly string[]): Promise<Outcome> {
  const options = {
    timeout: patience,
    cwd: "/",
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
  };
  return new Promise((resolve) => {
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      const { code } = (error ?? {}) as { code?: unknown };
      resolve({ code: error === null ? 0 : typeof code === "number" ? code : null, stdout, stderr });
    });
    child.stdin?.end();
  });
}

export function outcome({ code, stderr }: Outcome, program: string): Trial {
  if (code === 0) return { ok: true };
  return {
    ok: false,
    said: stderr.trim().split("\n").slice(0, 2).join("; ") || `${program} ended with ${code ?? "a signal"}`,
  };
}
