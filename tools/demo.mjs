#!/usr/bin/env node
// @ts-check
// `npm run demo`, as root: installs missing packages, builds, and demonstrates isolate: a daemon, a small Debian
// template and its pool, all in one temporary directory, which is removed afterwards with every mount in it.
import { spawn } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { NotPrepared, prepare, quietly } from "./prepare.mjs";
import { clientPrograms } from "./programs.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const poolSize = 10;
const timedRuns = 10;

const colourful = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code, text) => (colourful ? `\x1b[${code}m${text}\x1b[0m` : text);
const title = (text) => console.log(`\n${paint("1;36", text)}`);
const note = (text) => console.log(paint("2", text));

/** A step that failed; the message is for the person at the terminal. */
class DemoFailed extends Error {}

/** @typedef {{ pid: number | undefined, end: Promise<string | number> }} Started */

/**
 * What must be undone; nothing is started after the undoing has begun.
 * @type {{ directory: string | undefined, daemon: Started | undefined, step: Started | undefined, undoing: boolean }}
 */
const made = { directory: undefined, daemon: undefined, step: undefined, undoing: false };

async function main() {
  if (process.getuid?.() !== 0)
    throw new DemoFailed("cannot run the demo: the daemon needs root\nRun:  sudo npm run demo");
  title("Preparing");
  await prepare({ groups: ["build", "run", "template"] });
  await quietly(process.execPath, ["tools/build.mjs"]);
  note("everything is installed and built");

  const place = makePlace();
  title("The daemon");
  await startDaemon(place);

  title("A template, and a pool of fresh clones of it");
  await asRoot(place, ["template", "create", "debian", "--debian", hostSuite()]);
  await asRoot(place, ["-r", "debian", String(poolSize)]);
  await asRoot(place, ["pool"]);

  title("An ordinary user runs a command in a fresh root filesystem");
  note(`setpriv runs it as user ${place.uid} of group ${place.gid}, who owns nothing here and has no privileges`);
  await asUser(place, ["-z", "debian", "sh", "-c", "id; . /etc/os-release; echo $PRETTY_NAME; hostname; ls /"]);

  title("The command can write there as root; other runs do not see it");
  await asUser(place, ["-z", "debian", "sh", "-c", "echo mine > /etc/demo; chown www-data /etc/demo; ls -l /etc/demo"]);
  await asUser(place, ["-z", "debian", "ls", "-l", "/etc/demo"], { code: 2 });

  title("Used clones are destroyed, and the pool is full again");
  await poolFull(place);
  await asUser(place, ["pool"]);

  title("How long a run takes");
  await showTiming(place);
}

/** One directory holds everything that the demo makes. The user may pass through it, but not list it. */
function makePlace() {
  const directory = mkdtempSync(join(temporaryDirectory(), "isolate-demo-"));
  made.directory = directory;
  chmodSync(directory, 0o711);
  const at = (name) => join(directory, name);
  // The user may not be able to reach the checkout. The client looks for its helpers next to itself.
  mkdirSync(at("bin"), { mode: 0o755 });
  for (const [name, mode] of clientPrograms) {
    copyFileSync(join(root, "dist/bin", name), at(`bin/${name}`));
    chmodSync(at(`bin/${name}`), mode);
  }
  const { uid, gid } = unusedIds();
  const config = [
    `group = ${gid}`,
    `socket = "${at("socket")}"`,
    `state_dir = "${at("state")}"`,
    `runtime_dir = "${at("run")}"`,
  ];
  writeFileSync(at("isolated.toml"), `${config.join("\n")}\n`);
  /** @type {Record<string, string>} */
  const env = {
    PATH: `${at("bin")}:/usr/sbin:/usr/bin:/sbin:/bin`,
    ISOLATE_SOCKET: at("socket"),
    HOME: "/",
    LANG: "C.UTF-8",
  };
  for (const name of ["TERM", "NO_COLOR", "TMPDIR", "http_proxy", "https_proxy", "no_proxy"]) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return { directory, at, uid, gid, env };
}

/** A socket's path can have 107 bytes, unix(7). */
function temporaryDirectory() {
  const wanted = process.env.TMPDIR;
  return wanted?.startsWith("/") && /^[\w./-]{1,70}$/.test(wanted) ? wanted : "/var/tmp";
}

/** Finds ids in the range of people's accounts that no account uses. */
function unusedIds() {
  const known = ["/etc/passwd", "/etc/group", "/etc/subuid", "/etc/subgid"].map((file) => {
    try {
      return readFileSync(file, "utf8");
    } catch {
      return "";
    }
  });
  const isKnown = (id) => known.some((text) => new RegExp(`:${id}(:|$)`, "m").test(text));
  const unused = [];
  for (let id = 59_000; unused.length < 2; id--) if (!isKnown(id)) unused.push(id);
  return { uid: unused[0], gid: unused[1] };
}

function hostSuite() {
  const release = readFileSync("/etc/os-release", "utf8");
  const field = (name) => new RegExp(`^${name}="?([a-z]+)"?$`, "m").exec(release)?.[1];
  return (field("ID") === "debian" && field("VERSION_CODENAME")) || "bookworm";
}

async function startDaemon(place) {
  const log = place.at("isolated.log");
  const daemon = join(root, "dist/bin/isolated");
  note("its configuration:");
  console.log(indented(readFileSync(place.at("isolated.toml"), "utf8")));
  typed("#", [daemon, "--config", place.at("isolated.toml")]);
  mayStart();
  const output = openSync(log, "a");
  // In its own session: Ctrl-C must reach only the demo, which then stops the daemon properly.
  const child = spawn(process.execPath, [daemon, "--config", place.at("isolated.toml")], {
    cwd: "/",
    detached: true,
    env: place.env,
    stdio: ["ignore", output, output],
  });
  const end = ended(child);
  made.daemon = { pid: child.pid, end };
  let over = false;
  end.then(() => {
    over = true;
  });
  for (let tries = 0; tries < 300 && !over; tries++) {
    if (await answers(place.at("socket"))) {
      note(`it listens at ${place.at("socket")}; to try it yourself meanwhile, type:`);
      console.log(`  export PATH=${place.at("bin")}:$PATH ISOLATE_SOCKET=${place.at("socket")}`);
      return;
    }
    await sleep(100);
  }
  const lines = readFileSync(log, "utf8").trimEnd().split("\n").slice(-15).join("\n");
  throw new DemoFailed(`${lines}\ncannot show anything: the daemon did not start`);
}

function answers(socket) {
  return new Promise((resolve) => {
    const connection = connect(socket, () => {
      connection.destroy();
      resolve(true);
    });
    connection.on("error", () => resolve(false));
  });
}

async function asRoot(place, words) {
  typed("#", ["isolate", ...words]);
  await step(place.at("bin/isolate"), words, { env: place.env });
}

async function asUser(place, words, { code = 0 } = {}) {
  typed("$", ["isolate", ...words]);
  const ids = ["--reuid", place.uid, "--regid", place.uid, "--groups", place.gid].map(String);
  await step("setpriv", [...ids, "--", place.at("bin/isolate"), ...words], { env: place.env, code });
}

/** Shows and runs one command, with its output. */
async function step(program, args, { env, code = 0 }) {
  mayStart();
  const child = spawn(program, args, { cwd: "/", env, stdio: ["ignore", "inherit", "inherit"] });
  const ending = ended(child);
  made.step = { pid: child.pid, end: ending };
  const end = await ending;
  made.step = undefined;
  if (end !== code) throw new DemoFailed(`cannot continue: the command ended with ${end} instead of ${code}`);
}

/**
 * Returns the exit code, or the name of the signal or error.
 * @returns {Promise<string | number>}
 */
function ended(child) {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ?? code));
  });
}

function typed(prompt, words) {
  const shown = words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`)).join(" ");
  console.log(`${paint("1;32", prompt)} ${paint("1", shown)}`);
}

async function poolFull(place) {
  for (let tries = 0; tries < 100; tries++) {
    const { text } = await captured(place.at("bin/isolate"), ["pool", "--json"], { env: place.env });
    if (JSON.parse(text).every((pool) => pool.ready >= pool.size && pool.leased + pool.retired === 0)) return;
    await sleep(100);
  }
  throw new DemoFailed("cannot continue: the pool was not full again within 10 s");
}

async function showTiming(place) {
  const user = { env: place.env, uid: place.uid, gid: place.gid };
  const isolate = await timing(place.at("bin/isolate"), ["-z", "debian", "true"], user);
  if (!isolate) throw new DemoFailed("cannot measure: a run failed");
  note(`the median of ${timedRuns} runs each:`);
  console.log(`  isolate -z debian true   ${isolate.toFixed(1)} ms`);
  // Fails on distributions that restrict unprivileged user namespaces; then there is no comparison.
  const view = ["--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"];
  const bare = await timing("bwrap", view, user);
  if (bare) console.log(`  bwrap alone, read-only   ${bare.toFixed(1)} ms`);
}

/** Returns the median in milliseconds; `undefined` if a run failed. */
async function timing(program, args, { env, uid, gid }) {
  const milliseconds = [];
  for (let run = 0; run < timedRuns; run++) {
    // Gives each run the same full pool and idle machine.
    await sleep(200);
    const started = process.hrtime.bigint();
    // The ids are set in the fork, because the start of setpriv would be measured too.
    const { code } = await captured(program, args, { env, uid, gid });
    milliseconds.push(Number(process.hrtime.bigint() - started) / 1e6);
    if (code !== 0) return undefined;
  }
  return milliseconds.sort((a, b) => a - b)[Math.floor(timedRuns / 2)];
}

async function captured(program, args, ids) {
  mayStart();
  const child = spawn(program, args, { cwd: "/", ...ids, stdio: ["ignore", "pipe", "ignore"] });
  const chunks = [];
  child.stdout.on("data", (chunk) => chunks.push(chunk));
  const code = await ended(child);
  return { code, text: Buffer.concat(chunks).toString() };
}

function mayStart() {
  if (made.undoing) throw new DemoFailed("cannot continue: the demo is over");
}

/** Undoes everything that was made, also after Ctrl-C and after a failure. */
async function cleanUp() {
  made.undoing = true;
  if (made.step) await endProcess(made.step, 30_000);
  if (made.daemon) await endProcess(made.daemon, 15_000);
  if (!made.directory) return;
  for (const mount of mountsBelow(made.directory)) await undo("umount", ["-l", mount]);
  const left = mountsBelow(made.directory);
  if (left.length > 0) {
    console.error(`cannot remove ${made.directory}: still mounted: ${left.join(" ")}`);
    process.exitCode = 1;
    return;
  }
  const code = await undo("rm", ["-rf", "--one-file-system", made.directory]);
  if (code !== 0) {
    console.error(`cannot remove ${made.directory}: rm ended with ${code}`);
    process.exitCode = 1;
    return;
  }
  note(`\nstopped the daemon and removed ${made.directory}`);
}

/** Runs in its own session, so that neither Ctrl-C nor the terminal's end stops it. */
function undo(program, args) {
  return ended(spawn(program, args, { cwd: "/", detached: true, stdio: ["ignore", "ignore", "inherit"] }));
}

async function endProcess({ pid, end }, patience) {
  const kill = (signal) => {
    try {
      process.kill(pid, signal);
    } catch {}
  };
  kill("SIGTERM");
  const last = setTimeout(kill, patience, "SIGKILL");
  await end;
  clearTimeout(last);
}

/** Returns the mounts, innermost first. proc_pid_mountinfo(5) escapes blanks; the directory's name has none. */
function mountsBelow(directory) {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${directory}/`))
    .reverse();
}

function indented(text) {
  return text.trimEnd().replace(/^/gm, "  ");
}

const interrupted = new Promise((_, reject) => {
  for (const [signal, number] of /** @type {const} */ ([
    ["SIGINT", 2],
    ["SIGTERM", 15],
    ["SIGHUP", 1],
  ])) {
    process.on(signal, () => {
      process.exitCode = 128 + number;
      reject(new DemoFailed(`\ninterrupted by ${signal}; cleaning up`));
    });
  }
});
interrupted.catch(() => {});

try {
  await Promise.race([main(), interrupted]);
} catch (error) {
  console.error(error instanceof DemoFailed || error instanceof NotPrepared ? error.message : error);
  process.exitCode ||= 1;
}
await cleanUp();
process.exit();
