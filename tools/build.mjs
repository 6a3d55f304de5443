#!/usr/bin/env node
// @ts-check
// `npm run build`: builds everything into dist/. dist/js has the TypeScript as modules (the tests run there), dist/bin
// the programs. Requires what tools/prepare.mjs installs.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { muslFor } from "./musl.mjs";
import { nativeModules } from "./packages.mjs";
import { clientPrograms, entries } from "./programs.mjs";
import { unpacked } from "./sources.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => join(root, ...parts);
const { version } = JSON.parse(readFileSync(at("package.json"), "utf8"));

/** @param {string} program @param {string[]} args */
function run(program, args) {
  try {
    execFileSync(program, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const { stdout = "", stderr = "" } = /** @type {{ stdout?: string, stderr?: string }} */ (error);
    process.stderr.write(`${stdout}${stderr}`);
    console.error(`cannot build: ${program.replace(`${root}/`, "")} failed; if it is missing: node tools/prepare.mjs`);
    process.exit(1);
  }
}

/** For another architecture (tools/cross.mjs): only the compiled programs, with the environment's CC. */
const { values: cross } = parseArgs({
  options: {
    out: { type: "string" },
    target: { type: "string" },
    runtime: { type: "string" },
    system: { type: "string" },
  },
});
const bun = at("node_modules/.bin/bun");
const define = ["--define", `ISOLATE_VERSION=${JSON.stringify(version)}`];

if (cross.out === undefined) {
  mkdirSync(at("dist/bin"), { recursive: true });
  run(at("node_modules/.bin/tsc"), []);
  buildDaemon();
  buildClient(at("dist/bin"), []);
  buildStatic(at("dist/bin"));
  setModes(at("dist/bin"));
  run("make", ["-f", "native/Makefile", `OUT=${at("dist/test")}`, "check-tools"]);
} else {
  mkdirSync(cross.out, { recursive: true });
  buildClient(cross.out, [`--target=${cross.target}`, `--compile-executable-path=${cross.runtime}`]);
  buildStatic(cross.out);
  setModes(cross.out);
}

/** Bundles one module. Only native modules stay in node_modules. */
function buildDaemon() {
  // To save memory: the daemon needs 15 MB, and without these flags garbage grows to 60 MB before it is collected. The
  // threads are for calls that wait in the kernel, mostly for ZFS's transaction groups.
  const shebang = "#!/usr/bin/env -S UV_THREADPOOL_SIZE=16 node --max-semi-space-size=1 --optimize-for-size";
  const external = nativeModules.flatMap((name) => ["--external", name]);
  run(bun, [
    "build",
    entries.daemon,
    "--target=node",
    "--format=esm",
    ...external,
    ...define,
    `--banner=${shebang}`,
    "--outfile=dist/bin/isolated.new",
  ]);
  chmodSync(at("dist/bin/isolated.new"), 0o755);
  renameSync(at("dist/bin/isolated.new"), at("dist/bin/isolated"));
}

/**
 * The whole client, one executable that reads no configuration from the directory in which it is started. Bun writes
 * temporary files to the working directory and sets the executable's mode.
 */
function buildClient(out, runtime) {
  run(bun, [
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    "--format=esm",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    ...runtime,
    ...define,
    entries.client,
    "--external",
    "koffi",
    `--outfile=${join(out, "isolate-client.new")}`,
  ]);
  renameSync(join(out, "isolate-client.new"), join(out, "isolate-client"));
}

/** The C programs and the starter: its script is one module, in the engine that make compiles. */
function buildStatic(out) {
  const objects = join(dirname(out), "obj");
  const script = join(objects, "starter.js");
  const bundle = ["--target=browser", "--format=esm", "--minify", ...define, `--outfile=${script}`];
  run(bun, ["build", entries.starter, ...bundle]);
  const made = orEnd(() => [`MUSL=${muslFor(objects, cross.system)}`, `QUICKJS=${unpacked("quickjs", objects)}`]);
  run("make", ["-j2", "-f", "native/Makefile", `OUT=${out}`, `OBJ=${objects}`, ...made, `SCRIPT=${script}`, "all"]);
}

function setModes(out) {
  for (const [name, mode] of clientPrograms) chmodSync(join(out, name), mode);
}

/** @template T @param {() => T} make @returns {T} */
function orEnd(make) {
  try {
    return make();
  } catch (error) {
    console.error(`cannot build: ${error instanceof Error ? error.message : error}`);
    process.exit(1);
  }
}
