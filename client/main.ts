/** Makes the real dependencies, and turns errors into a sentence and an exit code. */
import { fstatSync, writeSync } from "node:fs";
import { isolateFailed, toIsolateError } from "../daemon/protocol/errors.ts";
import { version } from "../daemon/protocol/version.ts";
import { readIntent } from "./options.ts";
import { createPrint, type Output } from "./print.ts";
import { Refusal } from "./refusal.ts";

const output: Output = {
  write: writeAll,
  isTerminal,
  columns: () => undefined,
  environment: process.env,
};

void main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<void> {
  let print = createPrint(output);
  try {
    const intent = readIntent(words, process.env);
    print = print.as(intent.verbosity);
    switch (intent.kind) {
      case "run": {
        const [{ loadBinder }, { createLibc }, { run }] = await Promise.all([
          import("./ffi.ts"),
          import("./libc.ts"),
          import("./commands/run.ts"),
        ]);
        const libc = createLibc(await loadBinder(), process.arch);
        return await run(intent.run, { socket: intent.socket, environment: process.env, libc, print });
      }
      case "refill":
        return await (await import("./commands/index.ts")).runRefill(intent.refill, intent, print);
      case "command":
        return await (await import("./commands/index.ts")).runCommand(intent.command, intent, print, output);
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

/** Waits for a slow reader, and ends quietly when there is none. */
function writeAll(descriptor: 1 | 2, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") continue;
      return;
    }
  }
}

/** Only a terminal is a character device with a width worth asking for; /dev/null gets colours that nobody sees. */
function isTerminal(descriptor: 1 | 2): boolean {
  try {
    return fstatSync(descriptor).isCharacterDevice() && process.env.TERM !== "dumb";
  } catch {
    return false;
  }
}
