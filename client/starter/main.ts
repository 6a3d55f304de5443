/**
 * The command `isolate`, in a small runtime that starts fast. It performs ordinary runs; for everything else it becomes
 * `isolate-client`, the same client in a full runtime.
 */
import "./globals.ts";
import { decodeBytes } from "../../protocol/bytes.ts";
import { isolateFailed } from "../../protocol/errors.ts";
import { version } from "../../protocol/version.ts";
import { keeperWord } from "../run/attendant.ts";
import { needsExtras } from "../run/extras.ts";
import { findOwn } from "../run/host.ts";
import { environmentList } from "../run/launch.ts";
import { createKernel } from "../run/linux/call.ts";
import { createLibc } from "../run/linux/libc.ts";
import { createRootCalls, rootNumbers } from "../run/linux/root-calls.ts";
import { readIntent } from "../run/options/options.ts";
import { createPrint } from "../run/report/print.ts";
import { createOutput, report } from "../run/report/report.ts";
import { run } from "../run/run.ts";
import { readEnvironment, withoutBun } from "./environment.ts";
import { native } from "./native.ts";

const { systemCall, architecture } = native;
const libc = createLibc(systemCall, architecture);
const words = native.words.map((bytes) => decodeBytes(new Uint8Array(bytes)));
const environment = readEnvironment(native.environment.map((bytes) => decodeBytes(new Uint8Array(bytes))));

void main();

async function main(): Promise<void> {
  let print = createPrint(createOutput(libc, environment));
  try {
    if (words[0] === keeperWord) becomeClient();
    const intent = readIntent(words, environment);
    print = print.as(intent.verbosity);
    if (intent.kind === "version") return print.out(`isolate ${version}\n`);
    const caller = { uid: libc.uid(), gid: libc.gid() };
    if (intent.kind !== "run" || needsExtras(intent.run, caller)) becomeClient();
    const context = {
      socket: intent.socket,
      environment,
      // Computed on demand: few runs need it, and during an upgrade of isolate the file may be missing.
      get self() {
        return [libc.realPath("/proc/self/exe")];
      },
      words,
      libc,
      rootCalls: createRootCalls(createKernel(rootNumbers, systemCall, architecture)),
      descriptorLimit: libc.softDescriptorLimit,
      starter: native,
      extras: async () => becomeClient(),
      print,
    };
    return await run(intent.run, context);
  } catch (thrown) {
    native.drop();
    report(thrown, print);
    native.exit(isolateFailed);
  }
}

/** Throws `missing-protection` if it is not installed. */
function becomeClient(): never {
  return libc.execute(findOwn("isolate-client", libc), words, environmentList(withoutBun(environment)));
}
