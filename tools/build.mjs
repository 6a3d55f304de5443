#!/usr/bin/env node
// `npm run build`: everything into dist/. dist/js is the TypeScript as modules (the tests run there), dist/bin the
// three programs. Needs what tools/prepare.mjs installs.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { nativeModules } from "./packages.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => join(root, ...parts);
const { version } = JSON.parse(readFileSync(at("package.json"), "utf8"));

function run(program, args) {
  try {
    execFileSync(program, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    process.stderr.write(`${error.stdout ?? ""}${error.stderr ?? ""}`);
    console.error(`cannot build: ${program.replace(`${root}/`, "")} failed; if it is missing: node tools/prepare.mjs`);
    process.exit(1);
  }
}

const bun = at("node_modules/.bin/bun");
const define = ["--define", `ISOLATE_VERSION=${JSON.stringify(version)}`];
mkdirSync(at("dist/bin"), { recursive: true });

run(at("node_modules/.bin/tsc"), []);

// A small young generation: the daemon keeps little, and 17 MB stay free.
const shebang = "#!/usr/bin/env -S node --max-semi-space-size=1";

// The daemon: one module. Only what is native stays in node_modules.
const external = nativeModules.flatMap((name) => ["--external", name]);
run(bun, [
  "build",
  "daemon/main.ts",
  "--target=node",
  "--format=esm",
  ...external,
  ...define,
  `--banner=${shebang}`,
  "--outfile=dist/bin/isolated.new",
]);
chmodSync(at("dist/bin/isolated.new"), 0o755);
renameSync(at("dist/bin/isolated.new"), at("dist/bin/isolated"));

// The client: one executable that obeys no file of the directory it is started in. Bun writes its temporary files into
// the working directory and names the executable's mode itself.
run(bun, [
  "build",
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  "--splitting", // what a run does not need is not even looked at: 1 ms
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  ...define,
  "client/main.ts",
  "--external",
  "koffi",
  "--outfile=dist/bin/isolate.new",
]);
// A file written in one go lies in the page cache in large pieces, and is mapped 2 ms faster than what Bun wrote.
copyFileSync(at("dist/bin/isolate.new"), at("dist/bin/isolate.copy"));
rmSync(at("dist/bin/isolate.new"));
renameSync(at("dist/bin/isolate.copy"), at("dist/bin/isolate"));

run("make", ["-C", "seccomp", `OUT=${at("dist/bin")}`, `OBJ=${at("dist/obj")}`]);
// Not to be read: the kernel then lets nobody trace it, whatever they are inside (ptrace(2), PR_SET_DUMPABLE).
chmodSync(at("dist/bin/isolate-init"), 0o711);
run("make", ["-C", "seccomp", `OUT=${at("dist/test")}`, "check-tools"]);
