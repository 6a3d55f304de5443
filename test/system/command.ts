import { spawn } from "node:child_process";
import { type FileHandle, open, readFile } from "node:fs/promises";

/** The output of the host's programs; a failure shows its end. */
export interface CommandLog {
  readonly path: string;
  readonly file: FileHandle;
}

export async function openLog(path: string): Promise<CommandLog> {
  return { path, file: await open(path, "a", 0o600) };
}

/** Returns the last `count` lines of a file, or "" if it does not exist (yet). */
export async function lastLines(path: string, count: number): Promise<string> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-count).join("\n");
}

/**
 * Runs a program of this machine to its end, its output going to the log.
 *
 * Throws if it cannot be started or does not exit with 0; the error ends with the log's last lines.
 * The child ends with this process, however it ends: a build left behind would keep both cores busy.
 */
export async function command(
  log: CommandLog,
  program: string,
  args: readonly string[],
  env = process.env,
): Promise<void> {
  await log.file.appendFile(`\n$ ${program} ${args.join(" ")}\n`);
  const child = spawn(program, args, { env, stdio: ["ignore", log.file.fd, log.file.fd] });
  const end = () => void child.kill("SIGTERM");
  process.once("exit", end);
  try {
    const outcome = await new Promise<string>((resolve, reject) => {
      child.once("error", (cause) => reject(new Error(`cannot start ${program}: ${cause.message}`, { cause })));
      child.once("close", (code, signal) => resolve(signal ?? String(code)));
    });
    if (outcome === "0") return;
    throw new Error(`${program} failed (${outcome}); the end of ${log.path}:\n${await lastLines(log.path, 40)}`);
  } finally {
    process.removeListener("exit", end);
  }
}

/** Runs a program of this machine and returns its standard output. Throws if it does not exit with 0. */
export async function output(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const outcome = await new Promise<string>((resolve, reject) => {
    child.once("error", (cause) => reject(new Error(`cannot start ${program}: ${cause.message}`, { cause })));
    child.once("close", (code, signal) => resolve(signal ?? String(code)));
  });
  if (outcome !== "0") throw new Error(`${program} ${args.join(" ")} failed (${outcome})`);
  return Buffer.concat(chunks).toString("utf8");
}
