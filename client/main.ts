/** Makes the real dependencies, and turns errors into a sentence and an exit code. */
import { isolateFailed, toIsolateError } from "../daemon/protocol/errors.ts";
import { version } from "../daemon/protocol/version.ts";
import { decodeBytes } from "./bytes.ts";
import { run } from "./commands/run.ts";
import { loadSystemCall } from "./ffi.ts";
import { createLibc } from "./libc.ts";
import { createKernel } from "./libc-call.ts";
import { keeperWord } from "./lxc/protocol.ts";
import { readIntent } from "./options.ts";
import { createPrint, type Output } from "./print.ts";
import { Refusal } from "./refusal.ts";

const output: Output = {
  write: writeAll,
  isTerminal,
  environment: process.env,
};

void main(commandLine());

async function main(words: readonly string[]): Promise<void> {
  let print = createPrint(output);
  try {
    if (words[0] === keeperWord) return await (await import("./lxc/keeper.ts")).keep();
    const intent = readIntent(words, process.env);
    print = print.as(intent.verbosity);
    switch (intent.kind) {
      case "run": {
        const systemCall = await loadSystemCall();
        const libc = createLibc(systemCall, process.arch);
        const rootCalls = async () => {
          const { createRootCalls, rootNumbers } = await import("./libc-root.ts");
          return createRootCalls(createKernel(rootNumbers, systemCall, process.arch));
        };
        const context = {
          socket: intent.socket,
          environment: process.env,
          self: self(),
          words,
          libc,
          rootCalls,
          print,
        };
        return await run(intent.run, context);
      }
      case "refill":
      case "command": {
        if (process.versions.bun !== undefined) Bun.unsafe.setJITPolicy(1); // listings may be long
        const { createApi } = await import("./api.ts");
        const { runCommand, runRefill } = await import("./commands/index.ts");
        const loadLibc = async () => createLibc(await loadSystemCall(), process.arch);
        const context = { common: intent, api: createApi(intent.socket), print, output, loadLibc };
        if (intent.kind === "refill") return await runRefill(intent.refill, context);
        return await runCommand(intent.command, context);
      }
      case "version":
        return print.out(`isolate ${version}\n`);
      case "help":
        return print.out((await import("./help.ts")).help());
      case "nothing":
        writeAll(2, `${(await import("./help.ts")).usageLines}\nsee 'isolate --help'\n`);
        process.exitCode = isolateFailed;
    }
  } catch (thrown) {
    const error = thrown instanceof Refusal ? thrown : toIsolateError(thrown);
    print.error(error.message, error.hint);
    process.exit(isolateFailed);
  }
}

/** How this program is started. */
function self(): string[] {
  return process.versions.bun === undefined ? process.argv.slice(0, 2) : [process.execPath];
}

/** The runtimes replace what is not UTF-8; the kernel still has it. */
function commandLine(): string[] {
  const words = process.argv.slice(2);
  if (!words.some((word) => word.includes("\ufffd"))) return words;
  const all = fs().readFileSync("/proc/self/cmdline", "latin1").split("\0").slice(0, -1);
  return words.length === 0 ? [] : all.slice(-words.length).map((word) => decodeBytes(Buffer.from(word, "latin1")));
}

/** Loaded when something is to be said: a run that goes well says nothing. */
function fs() {
  return process.getBuiltinModule("node:fs");
}

/** Waits for a slow reader, and ends quietly when there is none. */
function writeAll(descriptor: 1 | 2, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs().writeSync(descriptor, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") continue;
      return;
    }
  }
}

/** /dev/null passes for one, and gets colours that nobody sees. */
function isTerminal(descriptor: 1 | 2): boolean {
  try {
    return fs().fstatSync(descriptor).isCharacterDevice() && process.env.TERM !== "dumb";
  } catch {
    return false;
  }
}
