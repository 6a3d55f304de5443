#!/usr/bin/env node
// @ts-check
// `npm run demo`, as root: installs what is missing, builds, and shows what isolate does: a daemon, a small Debian
// template and its pool, all inside one temporary directory, which is removed afterwards together with every mount in it.
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

/** A step that did not end as it should; its message is for the person at the terminal. */
class DemoFailed extends Error {}

/** @typedef {{ pid: number | undefined, end: Promise<string | number> }} Started */

/**
 * What there is to undo; once that has begun nothing more is started.
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

  title("A command of an ordinary user, in a fresh root of their own");
  note(
    `setpriv makes us user ${place.uid} of group ${place.gid}, whom no file of this machine knows, without any privilege`,
  );
  await asUser(place, ["-z", "debian", "sh", "-c", "id; . /etc/os-release; echo $PRETTY_NAME; hostname; ls /"]);

  title("That root is writable, as root; another run sees nothing of it");
  await asUser(place, ["-z", "debian", "sh", "-c", "echo mine > /etc/demo; chown www-data /etc/demo; ls -l /etc/demo"]);
  await asUser(place, ["-z", "debian", "ls", "-l", "/etc/demo"], { code: 2 });

  title("What was used is thrown away, and the pool is full again");
  await poolFull(place);
  await asUser(place, ["pool"]);

  title("How long a run takes");
  await showTiming(place);
}

/** One directory holds all that the demo makes. The user may pass through it, and list nothing. */
function makePlace() {
  const directory = mkdtempSync(join(temporaryDirectory(), "isolate-demo-"));
  made.directory = directory;
  chmodSync(directory, 0o711);
  const at = (name) => join(directory, name);
  // The checkout may be out of the user's reach; its helpers are looked for beside the client.
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

/** sockaddr_un(7) has room for 107 bytes of the socket's path. */
function temporaryDirectory() {
  const wanted = process.env.TMPDIR;
  return wanted?.startsWith("/") && /^[\w./-]{1,70}$/.test(wanted) ? wanted : "/var/tmp";
}

/** Ids below those of people's accounts' end that no file of accounts knows. */
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
  // A session of its own: Ctrl-C is for the demo, which then stops the daemon in order.
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
      note(`it serves at ${place.at("socket")}; what you can type yourself meanwhile:`);
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

/** Runs one shown command; its output is the person's to see. */
async function step(program, args, { env, code = 0 }) {
  mayStart();
  const child = spawn(program, args, { cwd: "/", env, stdio: ["ignore", "inherit", "inherit"] });
  const ending = ended(child);
  made.step = { pid: child.pid, end: ending };
  const end = await ending;
  made.step = undefined;
  if (end !== code) throw new DemoFailed(`cannot go on: the command ended with ${end}, and ${code} was expected`);
}

/**
 * The exit code, or the signal's or error's name.
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
  throw new DemoFailed("cannot go on: the pool did not fill up again within 10 s");
}

async function showTiming(place) {
  const user = { env: place.env, uid: place.uid, gid: place.gid };
  const isolate = await timing(place.at("bin/isolate"), ["-z", "debian", "true"], user);
  if (!isolate) throw new DemoFailed("cannot measure: a run failed");
  note(`the median of ${timedRuns} runs each:`);
  console.log(`  isolate -z debian true   ${isolate.toFixed(1)} ms`);
  // Distributions that restrict unprivileged user namespaces refuse this one; there is nothing to compare with then.
  const view = ["--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"];
  const bare = await timing("bwrap", view, user);
  if (bare) console.log(`  bwrap alone, read-only   ${bare.toFixed(1)} ms`);
}

/** Milliseconds at the median; undefined where a run failed. */
async function timing(program, args, { env, uid, gid }) {
  const milliseconds = [];
  for (let run = 0; run < timedRuns; run++) {
    // So that the pool is as full, and the machine as idle, for each of them.
    await sleep(200);
    const started = process.hrtime.bigint();
    // setpriv's own start would count: the user's ids are set in the fork.
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
  if (made.undoing) throw new DemoFailed("cannot go on: the demo is over");
}

/** Also after Ctrl-C and after a failure, whatever had been made by then. */
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
  note(`\nremoved ${made.directory} and all that was in it; the daemon is stopped`);
}

/** In a session of its own, so that neither Ctrl-C nor the terminal's end stops it. */
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

/** Innermost first. proc_pid_mountinfo(5) escapes blanks, which the directory's name has none of. */
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
