#!/usr/bin/env node
// @ts-check
// `node tools/prepare.mjs [GROUP...]`: installs missing Debian packages (as root) and node modules, and says so. Fast
// and silent if nothing is missing. Plain JavaScript without modules: it runs before they exist.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { groupNames, packages, usualGroups } from "./packages.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const oldestNode = 20;

/** An error whose message tells the person at the terminal what is missing and what to do. */
export class NotPrepared extends Error {}

/**
 * @param {{ groups?: readonly string[], more?: readonly string[] }} options groups of tools/packages.mjs, all of them
 * by default; and single packages
 */
export async function prepare({ groups = usualGroups, more = [] } = {}) {
  checkMachine();
  await installPackages([...groups.flatMap(packagesOf), ...more]);
  await installModules();
}

function checkMachine() {
  if (process.platform !== "linux")
    throw new NotPrepared(`cannot continue: isolate needs Linux, and this is ${process.platform}`);
  if (Number.parseInt(process.versions.node, 10) < oldestNode) {
    throw new NotPrepared(
      `cannot continue: Node ${oldestNode} or newer is needed, and ${process.execPath} is ${process.version}\n` +
        "Debian 13 and Ubuntu 25.04 have one: apt-get install nodejs npm; for older ones see nodejs.org",
    );
  }
}

async function installPackages(names) {
  const wanted = [...new Set(names)].sort();
  const missing = missingPackages(wanted);
  if (missing.length === 0) return;
  // Debian's pipewire-audio conflicts with pulseaudio, and a test must not change anybody's desktop.
  const command = ["apt-get", "install", "-y", "--no-install-recommends", "--no-remove", ...missing];
  if (process.getuid?.() !== 0) {
    throw new NotPrepared(
      `cannot continue: these Debian packages are missing, and only root can install them: ${missing.join(" ")}\n` +
        `Run:  sudo apt-get update && sudo ${command.join(" ")}`,
    );
  }
  console.log(`installing: Debian packages ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await quietly("apt-get", ["update"], { env });
  await quietly(command[0], command.slice(1), { env });
}

/** @param {string} group @returns {readonly string[]} */
export function packagesOf(group) {
  if (group === "usual") return usualGroups.flatMap(packagesOf);
  const found = Object.entries(packages).find(([name]) => name === group);
  if (found) return found[1];
  throw new NotPrepared(
    `cannot prepare '${group}': the groups are ${groupNames.join(", ")}, and usual for most of them`,
  );
}

function missingPackages(wanted) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: these are placeholders of dpkg-query(1).
  const query = ["-W", "-f", "${Package} ${db:Status-Status}\n", ...wanted];
  let listing;
  try {
    listing = execFileSync("dpkg-query", query, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch (caught) {
    const error = /** @type {Error & { code?: string, stdout?: string }} */ (caught);
    if (error.code === "ENOENT") {
      throw new NotPrepared(
        "cannot tell what is installed: this machine has no dpkg, and only Debian and Ubuntu are supported here\n" +
          `What is needed, by Debian's names: ${wanted.join(" ")}`,
      );
    }
    // It fails if it does not know a name, and still lists the others.
    listing = error.stdout ?? "";
  }
  const installed = new Set(
    listing.split("\n").flatMap((line) => (line.endsWith(" installed") ? [line.split(" ")[0]] : [])),
  );
  return wanted.filter((name) => !installed.has(name));
}

async function installModules() {
  if (modulesMatchLock() && modulesLoad()) return;
  console.log("installing: the node modules of package-lock.json into node_modules (npm ci)");
  await quietly("npm", ["ci", "--no-audit", "--no-fund"], { env: { ...process.env, ...nodeHeaders() } });
  if (!modulesLoad()) {
    throw new NotPrepared(
      "cannot use the node modules that npm ci installed: better-sqlite3, sd-notify, koffi or bun does not start\n" +
        "If npm is told to run no install scripts (npm config get ignore-scripts), allow them here",
    );
  }
}

/** npm records what it installed last. Omitted entries must be optional packages of other platforms. */
function modulesMatchLock() {
  const wanted = lockedPackages("package-lock.json");
  const have = lockedPackages("node_modules/.package-lock.json");
  if (!wanted || !have) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "") return true;
    if (!(path in have)) return entry.optional === true;
    return have[path].version === entry.version && have[path].integrity === entry.integrity;
  });
}

function lockedPackages(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), "utf8")).packages;
  } catch {
    return undefined;
  }
}

/** Whether the modules load; false also if they were compiled for another version of Node. */
function modulesLoad() {
  const script = "new (require('better-sqlite3'))(':memory:'); require('sd-notify'); require('koffi')";
  try {
    execFileSync(process.execPath, ["-e", script], { cwd: root, stdio: "ignore" });
    execFileSync(join(root, "node_modules/.bin/bun"), ["--version"], { cwd: "/", stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** If this Node came with its C headers, node-gyp need not download them. */
function nodeHeaders() {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const header = join(prefix, "include/node/node_version.h");
  if (process.env.npm_config_nodedir || !existsSync(header)) return {};
  const text = readFileSync(header, "utf8");
  const number = (part) => new RegExp(`^#define NODE_${part}_VERSION (\\d+)$`, "m").exec(text)?.[1];
  const version = `v${number("MAJOR")}.${number("MINOR")}.${number("PATCH")}`;
  return version === process.version ? { npm_config_nodedir: prefix } : {};
}

/**
 * Runs a program, returns the end of its output, and prints output only if it fails.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string }} [options]
 * @returns {Promise<string>}
 */
export function quietly(program, args, { env = process.env, cwd = root } = {}) {
  const started = Date.now();
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let log = "";
    const keep = (chunk) => {
      log = (log + chunk).slice(-64_000);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => reject(new NotPrepared(`cannot start ${program}: ${error.message}`)));
    const stop = () => child.kill();
    process.once("exit", stop);
    child.on("close", (code, signal) => {
      process.off("exit", stop);
      const seconds = Math.round((Date.now() - started) / 1000);
      if (code === 0) {
        if (seconds >= 2) console.log(`  ${program} ${args[0]}: done in ${seconds} s`);
        return resolve(log);
      }
      reject(
        new NotPrepared(`${ends(log)}\ncannot continue: '${program} ${args.join(" ")}' ended with ${signal ?? code}`),
      );
    });
  });
}

/** Some programs print the cause first, others last. */
function ends(log) {
  const lines = log.trimEnd().split("\n");
  return (lines.length <= 40 ? lines : [...lines.slice(0, 15), "...", ...lines.slice(-25)]).join("\n");
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const groups = process.argv.slice(2);
  try {
    await prepare(groups.length > 0 ? { groups } : {});
  } catch (error) {
    if (!(error instanceof NotPrepared)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}
