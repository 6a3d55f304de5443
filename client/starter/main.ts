/**
 * The command `isolate` itself, in a small runtime that is there at once. It makes an ordinary run; for whatever else it
 * becomes `isolate-client`, the same client in a runtime with everything.
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
      // Few runs ask for it, and while isolate is being upgraded there may be none.
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

/** Throws `missing-protection` where it is not installed. */
function becomeClient(): never {
  return libc.execute(findOwn("isolate-client", libc), words, environmentList(withoutBun(environment)));
}
