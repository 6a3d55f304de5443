/** The daemon's only child processes: a program, an array of arguments, and what it said. Never a shell. */
import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

export interface RunOptions {
  /** Fed to the program's standard input. */
  readonly input?: Readable;
  /** Ids to run with; supplementary groups are dropped with them. */
  readonly uid?: number;
  readonly gid?: number;
}

export class CommandError extends Error {
  readonly command: readonly string[];
  readonly code: number | null;
  readonly stderr: string;
  constructor(command: readonly string[], code: number | null, stderr: string, cause?: unknown) {
    super(stderr.trim().split("\n").at(-1) || `${command[0]} ended with ${code}`, { cause });
    this.name = "CommandError";
    this.command = command;
    this.code = code;
    this.stderr = stderr;
  }
}

const keep = 64 * 1024;

/** What the program wrote to standard output. Throws `CommandError` when it cannot start or does not exit with 0. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const command = [program, ...args];
  const child = spawn(program, args, {
    stdio: [options.input ? "pipe" : "ignore", "pipe", "pipe"],
    cwd: "/",
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
  const output: Buffer[] = [];
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-keep);
  });
  let inputFailure: unknown;
  if (options.input && child.stdin) {
    pipeline(options.input, child.stdin).catch((error: unknown) => {
      // The program may end before it has read everything, which its own exit code judges. A source that breaks off
      // must not look like an archive that is whole.
      if ((error as NodeJS.ErrnoException).code === "EPIPE") return;
      inputFailure = error;
      child.kill("SIGKILL");
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", (error) => reject(new CommandError(command, null, `${program}: ${error.message}`, error)));
    child.on("close", resolve);
  });
  if (inputFailure !== undefined) throw new CommandError(command, code, "the input broke off", inputFailure);
  if (code !== 0) throw new CommandError(command, code, stderr);
  return Buffer.concat(output).toString();
}
