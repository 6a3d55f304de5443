/** The daemon's only child processes: a program, an array of arguments, and what it said. Never a shell. */
import { spawn } from "node:child_process";
import { getPriority, setPriority } from "node:os";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

export interface RunOptions {
  /** Fed to the program's standard input. */
  readonly input?: Readable;
  /** Ids to run with; supplementary groups are dropped with them. */
  readonly uid?: number;
  readonly gid?: number;
  /** Milliseconds after which the program is killed, which is a failure. `undefined`: as long as it takes. */
  readonly patience?: number;
}

export class CommandError extends Error {
  readonly command: readonly string[];
  readonly code: number | null;
  readonly stderr: string;
  /** What it had written before it failed. */
  readonly stdout: string;
  constructor(command: readonly string[], code: number | null, stderr: string, cause?: unknown, stdout = "") {
    super(stderr.trim().split("\n").at(-1) || `${command[0]} ended with ${code}`, { cause });
    this.name = "CommandError";
    this.command = command;
    this.code = code;
    this.stderr = stderr;
    this.stdout = stdout;
  }
}

/**
 * This thread comes before others where it may, since all who ask for a lease wait for it. Where control groups share out
 * the processors, as systemd's slices do, that changes nothing.
 */
export function comeFirst(): void {
  changePriority(urgent);
}

const urgent = -10;
const ordinary = 0;

function changePriority(to: number): void {
  try {
    setPriority(to);
  } catch {
    // a service without CAP_SYS_NICE
  }
}

/** A program gets the priority of the thread that starts it, and what is a user's process would be the user's. */
function ordinarily<T>(start: () => T): T {
  const before = getPriority();
  if (before >= ordinary) return start();
  changePriority(ordinary);
  try {
    return start();
  } finally {
    changePriority(before);
  }
}

/** Node takes an id as a signed number of 32 bits only, and passes its bits to setuid(2) as they are. */
function signed(id: number): number {
  return id | 0;
}

const keep = 64 * 1024;
const environment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };

/** What the program wrote to standard output. Throws `CommandError` when it cannot start or does not exit with 0. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const command = [program, ...args];
  const child = ordinarily(() =>
    spawn(program, args, {
      stdio: [options.input ? "pipe" : "ignore", "pipe", "pipe"],
      cwd: "/",
      env: environment,
      ...(options.uid === undefined ? {} : { uid: signed(options.uid) }),
      ...(options.gid === undefined ? {} : { gid: signed(options.gid) }),
    }),
  );
  const output: Buffer[] = [];
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-keep);
  });
  let late = false;
  const timer =
    options.patience === undefined
      ? undefined
      : setTimeout(() => {
          late = child.kill("SIGKILL");
        }, options.patience);
  let inputFailure: unknown;
  if (options.input && child.stdin) {
    const watched = async function* (input: Readable): AsyncGenerator<unknown> {
      try {
        yield* input;
      } catch (error) {
        inputFailure = error;
        throw error;
      }
    };
    pipeline(watched(options.input), child.stdin).catch(() => {
      // The program may end before it has read everything, which its own exit code judges. A source that breaks off
      // must not look like an archive that is whole.
      if (inputFailure !== undefined) child.kill("SIGKILL");
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", (error) => reject(new CommandError(command, null, `${program}: ${error.message}`, error)));
    child.on("close", resolve);
  }).finally(() => clearTimeout(timer));
  if (late)
    throw new CommandError(command, null, `${program} did not answer within ${(options.patience ?? 0) / 1000} s`);
  if (inputFailure !== undefined) throw new CommandError(command, code, "the input broke off", inputFailure);
  const stdout = Buffer.concat(output).toString();
  if (code !== 0) throw new CommandError(command, code, stderr, undefined, stdout);
  return stdout;
}

/** Milliseconds for a program to come to its `cat`. */
const holdPatience = 60_000;

export interface HeldProcess {
  readonly pid: number;
  /** Ends it and waits until it is gone. */
  end(): Promise<void>;
}

/**
 * Starts a program that repeats its standard input, cat(1) in the end, and waits until it has echoed a byte: what it
 * does before it reads is done then. It lives until `end`, or until this process ends and its input with it.
 */
export async function hold(
  program: string,
  args: readonly string[],
  ids: { uid: number; gid: number },
): Promise<HeldProcess> {
  const command = [program, ...args];
  const child = ordinarily(() =>
    spawn(program, args, { stdio: "pipe", cwd: "/", env: environment, uid: signed(ids.uid), gid: signed(ids.gid) }),
  );
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-keep);
  });
  child.stdin.on("error", () => {}); // EPIPE: its end tells more
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const end = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  // It runs as somebody who may stop it.
  const timer = setTimeout(() => child.kill("SIGKILL"), holdPatience);
  await new Promise<void>((resolve, reject) => {
    child.once("error", (error) => reject(new CommandError(command, null, `${program}: ${error.message}`, error)));
    void ended.then((code) => reject(new CommandError(command, code, stderr)));
    child.stdout.once("data", () => resolve());
    child.stdin.write("\n");
  }).finally(() => clearTimeout(timer));
  if (child.pid === undefined) throw new CommandError(command, null, `${program} has no process id`);
  return { pid: child.pid, end };
}
