/** The whole client: creates the real dependencies, and turns an error into a sentence and an exit code. */
import { readFileSync } from "node:fs";
import { decodeBytes } from "../../protocol/bytes.ts";
import { isolateFailed } from "../../protocol/errors.ts";
import { version } from "../../protocol/version.ts";
import { keeperWord } from "../run/attendant.ts";
import { parentDescriptorLimit } from "../run/host.ts";
import { createKernel } from "../run/linux/call.ts";
import { createLibc } from "../run/linux/libc.ts";
import { createRootCalls, rootNumbers } from "../run/linux/root-calls.ts";
import { readIntent } from "../run/options/options.ts";
import { createPrint } from "../run/report/print.ts";
import { createOutput, report } from "../run/report/report.ts";
import { run } from "../run/run.ts";
import { createApi } from "./api.ts";
import { runCommand, runRefill } from "./commands/table.ts";
import * as extras from "./extras.ts";
import { loadSystemCall } from "./ffi.ts";
import { helpOn } from "./help/topics.ts";
import { keep } from "./lxc/attendant.ts";

/** Columns of what is no terminal. */
const plainWidth = 80;

const systemCall = await loadSystemCall();
const libc = createLibc(systemCall, process.arch);
const output = createOutput(libc, process.env);

await main(commandLine());

async function main(words: readonly string[]): Promise<void> {
  let print = createPrint(output);
  try {
    if (words[0] === keeperWord) return await keep();
    const intent = readIntent(words, process.env);
    print = print.as(intent.verbosity);
    switch (intent.kind) {
      case "run": {
        const context = {
          socket: intent.socket,
          environment: process.env,
          self: self(),
          words,
          libc,
          rootCalls: createRootCalls(createKernel(rootNumbers, systemCall, process.arch)),
          descriptorLimit: () => parentDescriptorLimit(libc),
          starter: undefined,
          extras: async () => extras,
          print,
        };
        return await run(intent.run, context);
      }
      case "refill":
      case "command": {
        const context = { common: intent, api: createApi(intent.socket, libc), print, output, libc };
        if (intent.kind === "refill") return await runRefill(intent.refill, context);
        return await runCommand(intent.command, context);
      }
      case "version":
        return print.out(`isolate ${version}\n`);
      case "help":
        return print.out(helpOn(intent.topic, libc.columns(1) ?? plainWidth));
      case "nothing":
        libc.say(2, helpOn([], libc.columns(2) ?? plainWidth));
        process.exitCode = isolateFailed;
    }
  } catch (thrown) {
    report(thrown, print);
    process.exit(isolateFailed);
  }
}

/** The command line that starts this program. */
function self(): string[] {
  return process.versions.bun === undefined ? process.argv.slice(0, 2) : [process.execPath];
}

/** The runtimes replace bytes that are not UTF-8; the kernel still has them. */
function commandLine(): string[] {
  const words = process.argv.slice(2);
  if (!words.some((word) => word.includes("\ufffd"))) return words;
  const all = readFileSync("/proc/self/cmdline", "latin1").split("\0").slice(0, -1);
  return words.length === 0 ? [] : all.slice(-words.length).map((word) => decodeBytes(Buffer.from(word, "latin1")));
}
