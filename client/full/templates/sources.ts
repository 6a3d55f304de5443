/** The sources of a template's content: a directory, an archive, or Debian. Each becomes a stream of plain tar. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, createReadStream, fstatSync, openSync } from "node:fs";
import { delimiter, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { IsolateError } from "../../../protocol/errors.ts";
import { type HostProgram, missingProgram } from "../../run/host-programs.ts";
import {
  debianKeyring,
  debianKeyringPackage,
  indexTargetsFormat,
  isSuite,
  mmdebstrapArguments,
  mmdebstrapStage,
  parseDebianMirrors,
} from "./debian.ts";

export type TemplateSource =
  | { readonly kind: "directory"; readonly path: string }
  /** `-` is standard input. */
  | { readonly kind: "tar"; readonly path: string }
  | { readonly kind: "debian"; readonly suite: string };

/** A running producer of a tar. */
export interface Content {
  readonly stream: Readable;
  /** Settles when the producer has ended; rejects with `bad-source` if the stream is incomplete. */
  readonly done: Promise<void>;
  /** Ends the producer, lets it clean up, and returns when it is gone. */
  stop(): Promise<void>;
}

/** A source that was checked and can be read. */
export interface OpenSource {
  /** For the progress display: `Debian bookworm`, `/srv/root`. */
  readonly title: string;
  readonly firstStage: string;
  start(onStage: (stage: string) => void): Promise<Content>;
}

/** Checks a source. Throws `bad-source` or `missing-program` before anything is started. */
export async function openSource(source: TemplateSource): Promise<OpenSource> {
  switch (source.kind) {
    case "directory":
      return openDirectory(source.path);
    case "tar":
      return openTar(source.path);
    case "debian":
      return openDebian(source.suite);
  }
}

function openDirectory(path: string): OpenSource {
  const descriptor = openOnce(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if (!fstatSync(descriptor).isDirectory())
    throw new IsolateError("bad-source", { source: path, wrong: "it is not a directory" });
  needProgram("tar");
  const kept = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--one-file-system"];
  const args = ["-C", "/proc/self/fd/3", "--format=pax", ...kept, "-cf", "-", "."];
  return {
    title: path,
    firstStage: "reading the directory",
    start: async () => startProgram({ program: "tar", args, source: path, descriptor }),
  };
}

function openTar(path: string): OpenSource {
  const title = path === "-" ? "standard input" : path;
  if (path === "-" && process.stdin.isTTY) {
    throw new IsolateError("bad-source", { source: title, wrong: "it is a terminal; pipe a tar archive into it" });
  }
  const descriptor = path === "-" ? undefined : openOnce(path, constants.O_RDONLY);
  if (descriptor !== undefined && fstatSync(descriptor).isDirectory()) {
    throw new IsolateError("bad-source", { source: path, wrong: "it is a directory; use --dir" });
  }
  const open = (): Readable => (descriptor === undefined ? process.stdin : createReadStream(path, { fd: descriptor }));
  return { title, firstStage: "reading the archive", start: () => startArchive(open(), title) };
}

async function openDebian(suite: string): Promise<OpenSource> {
  if (!isSuite(suite)) {
    throw new IsolateError("bad-source", {
      source: "Debian",
      wrong: `'${suite.replace(/[^\x20-\x7e]/g, "?")}' is not the name of a suite, such as bookworm`,
    });
  }
  needProgram("mmdebstrap");
  if (!isReadable(debianKeyring))
    throw new IsolateError("missing-program", { program: debianKeyring, package: debianKeyringPackage });
  const args = mmdebstrapArguments(suite, parseDebianMirrors(await indexTargets()));
  const source = `Debian ${suite}`;
  return {
    title: source,
    firstStage: "starting mmdebstrap",
    start: async (onStage) => startProgram({ program: "mmdebstrap", args, source, stageOf: mmdebstrapStage, onStage }),
  };
}

/** Asks apt for this machine's mirrors. Without apt, mmdebstrap(1) itself says what it requires. */
async function indexTargets(): Promise<string> {
  const asked = promisify(execFile)("apt-get", ["indextargets", "--format", indexTargetsFormat], {
    maxBuffer: 64 * 2 ** 20,
  });
  return (await asked.catch(() => ({ stdout: "" }))).stdout;
}

const compressions = [
  { magic: [0x1f, 0x8b], program: "gzip" },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], program: "xz" },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], program: "zstd" },
  { magic: [0x42, 0x5a, 0x68], program: "bzip2" },
] as const;

/** Recognizes the format by the first bytes, not by the name: standard input has no name. */
async function startArchive(archive: Readable, source: string): Promise<Content> {
  const chunks = archive[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let head: Buffer = Buffer.alloc(0);
  try {
    while (head.length < 6) {
      const next = await chunks.next();
      if (next.done) break;
      head = Buffer.concat([head, next.value]);
    }
  } catch (error) {
    throw new IsolateError("bad-source", { source, wrong: messageOf(error) }, error);
  }
  if (head.length === 0) throw new IsolateError("bad-source", { source, wrong: "it is empty" });
  const whole = Readable.from(rejoin(head, chunks));
  const compression = compressions.find(({ magic }) => magic.every((byte, index) => head[index] === byte));
  if (!compression) return plainContent(whole, archive, source);
  needProgram(compression.program);
  return startProgram({ program: compression.program, args: ["-dc"], source, input: whole });
}

async function* rejoin(head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield head;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

function plainContent(stream: Readable, archive: Readable, source: string): Content {
  const done = new Promise<void>((resolve, reject) => {
    stream.once("end", resolve);
    stream.once("close", resolve);
    stream.once("error", (error) => reject(new IsolateError("bad-source", { source, wrong: messageOf(error) }, error)));
  });
  done.catch(() => {});
  return {
    stream,
    done,
    stop: async () => {
      archive.destroy();
      stream.destroy();
    },
  };
}

interface ProgramOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly source: string;
  readonly input?: Readable;
  /** Becomes the program's descriptor 3. */
  readonly descriptor?: number;
  readonly stageOf?: (line: string) => string | undefined;
  readonly onStage?: (stage: string) => void;
}

/** The time for a producer to clean up after SIGTERM: mmdebstrap unmounts and removes its directory. */
const graceMilliseconds = 20_000;

function startProgram({ program, args, source, input, descriptor, stageOf, onStage }: ProgramOptions): Content {
  // Its own process group: mmdebstrap ignores signals and expects them to be sent to the programs that it runs.
  const child = spawn(program, args, {
    detached: true,
    stdio: [input ? "pipe" : "ignore", "pipe", "pipe", ...(descriptor === undefined ? [] : [descriptor])],
    env: { ...process.env, LC_ALL: "C.UTF-8" },
  });
  const { stdin, stdout, stderr } = child;
  if (!stdout || !stderr) throw new Error("spawn returned no pipes");
  const lines: string[] = [];
  const noted = readLines(stderr, (line) => {
    lines.push(line);
    if (lines.length > 1000) lines.splice(1, 500);
    const stage = stageOf?.(line);
    if (stage !== undefined) onStage?.(stage);
  });
  // The program's exit code tells more than a broken pipe.
  const fed =
    input && stdin
      ? pipeline(input, stdin).catch((error: NodeJS.ErrnoException) => (error.code === "EPIPE" ? undefined : error))
      : undefined;
  const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  let stopped = false;
  const done = (async () => {
    const [code, signal] = await exited.catch((error: unknown) => {
      throw new IsolateError("bad-source", { source, wrong: `${program}: ${messageOf(error)}` }, error);
    });
    if (!stopped) await noted;
    if (code !== 0)
      throw new IsolateError("bad-source", {
        source,
        wrong: complaint(lines) ?? `${program} ended with ${signal ?? `code ${code}`}`,
      });
    const unread = stopped ? undefined : await fed;
    if (unread) throw new IsolateError("bad-source", { source, wrong: messageOf(unread) }, unread);
  })();
  done.catch(() => {});
  return {
    stream: stdout,
    done,
    stop: async () => {
      stopped = true;
      const signalGroup = (signal: NodeJS.Signals): void => {
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
        try {
          process.kill(-child.pid, signal);
        } catch {}
      };
      signalGroup("SIGTERM");
      const last = setTimeout(signalGroup, graceMilliseconds, "SIGKILL");
      // Nothing reads any more, and the program must not wait for a reader.
      stdout.destroy();
      input?.destroy();
      await exited.catch(() => {});
      clearTimeout(last);
    },
  };
}

async function readLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const parts = (rest + text).split(/[\r\n]+/);
    rest = parts.pop() ?? "";
    for (const line of parts) if (line !== "") onLine(line);
  });
  await new Promise<void>((resolve) => stream.once("close", resolve).once("error", resolve));
  if (rest !== "") onLine(rest);
}

/**
 * Returns the line with the reason: programs add general lines after it ("Exiting with failure status due to previous
 * errors").
 */
export function complaint(lines: readonly string[]): string | undefined {
  const telling = lines.filter(
    (line) => !/^[IW]: |Exiting with failure status|^E: (mmdebstrap failed to run|apt-get update .*failed)/.test(line),
  );
  const chosen = telling.find((line) => /^(E|tar|[a-z0-9]+): /.test(line)) ?? telling.at(-1) ?? lines.at(-1);
  return chosen?.replace(/[^\x20-\x7e]/g, "?").slice(0, 300);
}

/** So that what was looked at is what is read, whoever can put something else at that path. */
function openOnce(path: string, flags: number): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    throw new IsolateError("bad-source", { source: path === "" ? "''" : path, wrong: messageOf(error) }, error);
  }
}

function needProgram(program: HostProgram): void {
  const path = process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin";
  if (path.split(delimiter).some((directory) => isExecutable(join(directory || ".", program)))) return;
  throw missingProgram(program);
}

function isExecutable(path: string): boolean {
  return isAccessible(path, constants.X_OK);
}

function isReadable(path: string): boolean {
  return isAccessible(path, constants.R_OK);
}

function isAccessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  const message = (error as Partial<Error> | undefined)?.message ?? String(error);
  // "ENOENT: no such file or directory, stat '/x'" repeats the path.
  return message.replace(/^[A-Z]+: /, "").replace(/, (stat|open|read)\b.*$/, "");
}
