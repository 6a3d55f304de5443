/** Runs real programs as real users, and always ends the processes that it started. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";

/** A user known only to the kernel, without an entry in any file. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

export const root: User = { uid: 0, gid: 0, groups: [0] };

export interface Outcome {
  /** 128 + n if signal n ended the program. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How many times slower than an ordinary machine this one is. Used only to extend the time before giving up. */
const slowness = Number(process.env.ISOLATE_TEST_SLOWNESS ?? 1);

export interface RunOptions {
  readonly as?: User;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
  /** Milliseconds until the program is killed; its exit code then fails the test. */
  readonly patience?: number;
}

/** Returns the argv that runs a command with exactly that user's ids and no extra capability. */
export function asUser({ uid, gid, groups }: User, command: readonly string[]): string[] {
  if (uid === 0) return [...command];
  const ids = ["--reuid", String(uid), "--regid", String(gid)];
  return [
    "setpriv",
    ...ids,
    ...(groups.length > 0 ? ["--groups", groups.join(",")] : ["--clear-groups"]),
    "--",
    ...command,
  ];
}

export function start(command: readonly string[], options: RunOptions = {}): ChildProcess {
  const [program = "false", ...args] = asUser(options.as ?? root, command);
  const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  return spawn(program, args, {
    cwd: options.cwd ?? "/",
    env: { PATH, LC_ALL: "C.UTF-8", ...options.env },
    stdio: "pipe",
  });
}

export function finished(child: ChildProcess, options: RunOptions = {}): Promise<Outcome> {
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk;
  });
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(options.input ?? "");
  const killer = setTimeout(() => child.kill("SIGKILL"), (options.patience ?? 60_000) * slowness);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(killer);
      resolve({ code: code ?? 128 + (signal ? constants.signals[signal] : 0), stdout, stderr });
    });
  });
}

/** For sleep(1): a duration that names this process, so that no other run's sleep is taken for one of its own. */
export const ownDuration = (seconds: number): string => `${seconds}.${process.pid}`;

export function run(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return finished(start(command, options), options);
}

/** Like `run`, but throws if the exit code is not 0. Returns the standard output. */
export async function must(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, options);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${stderr || stdout}`);
  return stdout;
}

/** Waits until `condition` returns a true value, and returns it. `what` is the awaited event, for the error. */
export async function eventually<T>(
  what: string,
  condition: () => T | Promise<T>,
  patience = 30_000,
): Promise<NonNullable<T>> {
  const end = Date.now() + patience * slowness;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
