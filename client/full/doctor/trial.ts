/** Runs a program of the host for its output, or to see whether it works. */
import { execFile } from "node:child_process";
import type { Trial } from "./facts.ts";

/** Milliseconds. */
const patience = 30_000;
/** From SIGTERM to SIGKILL. */
const gracePeriod = 2000;

export interface Outcome {
  /** null if the program could not be started, or took too long. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `limit`: milliseconds after which nobody waits for it any more, killed or not: a suspended disk lets no process end. */
export function run(program: string, args: readonly string[], limit = patience): Promise<Outcome> {
  const options = {
    cwd: "/",
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
  };
  return new Promise((resolve) => {
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      for (const timer of timers) clearTimeout(timer);
      const { code } = (error ?? {}) as { code?: unknown };
      resolve({ code: error === null ? 0 : typeof code === "number" ? code : null, stdout, stderr });
    });
    const giveUp = (): void => {
      child.kill("SIGKILL");
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
      resolve({ code: null, stdout: "", stderr: `it did not end within ${limit / 1000} s` });
    };
    const timers = [setTimeout(() => child.kill(), limit), setTimeout(giveUp, limit + gracePeriod)];
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
