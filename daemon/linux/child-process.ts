/** The daemon's only child processes: a program, an array of arguments, and its output. Never a shell. */
import { spawn } from "node:child_process";
import { getPriority, setPriority } from "node:os";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

export interface RunOptions {
  /** The program's standard input. */
  readonly input?: Readable;
  /** The ids to run with. Setting them drops the supplementary groups. */
  readonly uid?: number;
  readonly gid?: number;
  /** Milliseconds after which the program is killed, which is an error; `undefined` for no limit. */
  readonly patience?: number;
}

export class CommandError extends Error {
  readonly command: readonly string[];
  readonly code: number | null;
  readonly stderr: string;
  /** The output before the failure. */
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
 * Raises this thread's priority if allowed, since every request for a lease waits for it. This has no effect across
 * control groups that share the processors, such as systemd's slices.
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

/** Starts a program at ordinary priority: it would inherit the thread's, and some programs run as a user. */
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

/** Node accepts an id only as a signed 32-bit number, and passes its bits to setuid(2) unchanged. */
function signed(id: number): number {
  return id | 0;
}

const keep = 64 * 1024;
const environment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };

/** Returns the program's standard output. Throws `CommandError` if it cannot start or does not exit with 0. */
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
      // The program may end before it has read everything; its exit code says whether that is an error. But an input
      // that breaks off must not look like a complete archive.
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

/** Milliseconds for a program to reach its `cat`. */
const holdPatience = 60_000;

export interface HeldProcess {
  readonly pid: number;
  /** Kills it and waits until it is gone. */
  end(): Promise<void>;
}

/**
 * Starts a program that finally echoes its standard input like cat(1), and waits until it has echoed a byte: everything
 * it does before reading is then done. It lives until `end`, or until this process ends, which closes its input.
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
  child.stdin.on("error", () => {}); // EPIPE: its exit code says more
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const end = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  // It runs as a user, who may stop it (SIGSTOP).
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
