#!/usr/bin/env node
// @ts-check
// `node tools/watch.mjs [GROUP...] -- COMMAND [ARG...]`, as root: runs the command, and fails if one of its processes
// starts a program that only this machine happens to have, because no package of these groups in tools/packages.mjs
// installs it. fanotify(7) reports each start of such a program before it happens; other programs are not slowed down.
import { spawn } from "node:child_process";
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  read,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { constants, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { otherPrograms } from "./closure.mjs";
import { usualGroups } from "./packages.mjs";
import { NotPrepared, packagesOf } from "./prepare.mjs";

/** @typedef {import("./closure.mjs").Program & { by: string }} Start */

const AT_FDCWD = -100;
const O_CLOEXEC = 0o2000000;
const FAN_CLOEXEC = 0x1;
const FAN_CLASS_CONTENT = 0x4;
const FAN_MARK_ADD = 0x1;
const FAN_OPEN = 0x20n;
const FAN_OPEN_EXEC_PERM = 0x4_0000n;
const FAN_ALLOW = 1;

/** @param {readonly string[]} words */
async function main(words) {
  const end = words.indexOf("--");
  const [program, ...args] = words.slice(end + 1);
  if (end < 0 || program === undefined)
    throw new NotPrepared("cannot watch: usage: node tools/watch.mjs [GROUP...] -- COMMAND [ARG...]");
  if (process.getuid?.() !== 0)
    throw new NotPrepared("cannot watch which programs are started: only root can\nRun it with sudo.");
  const groups = end > 0 ? words.slice(0, end) : usualGroups;
  const watch = await startWatch(otherPrograms(groups.flatMap(packagesOf)));
  const code = await runCommand(program, args);
  const starts = await watch.end();
  for (const { path, of, by } of starts) {
    const owner = of ? `of the Debian package ${of}, which tools/packages.mjs does not name` : "of no Debian package";
    console.error(`cannot pass: ${path} was started, ${owner} (by: ${by})`);
  }
  if (starts.length > 0)
    console.error(
      "A machine without it fails here. Name the package in tools/packages.mjs, or do not use the program.",
    );
  return code === 0 && starts.length > 0 ? 1 : code;
}

/** @param {string} program @param {string[]} args @returns {Promise<number>} */
function runCommand(program, args) {
  const child = spawn(program, args, { stdio: "inherit" });
  // The terminal's signals are for the command. If this process stopped, every start of these programs would block.
  for (const signal of /** @type {const} */ (["SIGINT", "SIGQUIT", "SIGTSTP", "SIGHUP"])) process.on(signal, () => {});
  process.on("SIGTERM", () => child.kill());
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new NotPrepared(`cannot start ${program}: ${error.message}`)));
    child.on("close", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

/** @param {import("./closure.mjs").Program[]} programs */
async function startWatch(programs) {
  const { default: koffi } = await import("koffi");
  const libc = koffi.load("libc.so.6");
  const init = libc.func("int fanotify_init(unsigned int flags, unsigned int event_flags)");
  const mark = libc.func("int fanotify_mark(int fd, unsigned int flags, uint64_t mask, int dirfd, str path)");
  const fail = (/** @type {string} */ what) =>
    new NotPrepared(
      `cannot watch which programs are started: ${what} failed with errno ${koffi.errno()}\n` +
        "It needs root, and a kernel with CONFIG_FANOTIFY_ACCESS_PERMISSIONS, as Debian's and Ubuntu's are.",
    );
  const fd = init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_CLOEXEC);
  if (fd < 0) throw fail("fanotify_init(2)");
  const known = new Map();
  for (const program of programs) {
    known.set(identity(statSync(program.path)), program);
    if (mark(fd, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM, AT_FDCWD, program.path) < 0) throw fail("fanotify_mark(2)");
  }
  // Opening this file ends the read(2) of this process.
  const directory = mkdtempSync(join(tmpdir(), "isolate-watch-"));
  const last = join(directory, "last");
  writeFileSync(last, "");
  if (mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, last) < 0) throw fail("fanotify_mark(2)");
  const starts = receive(fd, known);
  return {
    end: async () => {
      closeSync(openSync(last, "r"));
      const found = await starts;
      rmSync(directory, { recursive: true });
      return found;
    },
  };
}

/**
 * Lets every program start, and resolves after the first event for another file.
 * @param {number} fd
 * @param {ReadonlyMap<string, import("./closure.mjs").Program>} known
 * @returns {Promise<Start[]>}
 */
async function receive(fd, known) {
  /** @type {Map<string, Start>} */
  const starts = new Map();
  const buffer = Buffer.alloc(4096);
  for (let over = false; !over; ) {
    const length = await new Promise((resolve, reject) => {
      read(fd, buffer, 0, buffer.length, null, (error, bytes) => (error ? reject(error) : resolve(bytes)));
    });
    // struct fanotify_event_metadata
    for (let at = 0; at < length; at += buffer.readUInt32LE(at)) {
      const file = buffer.readInt32LE(at + 16);
      const pid = buffer.readInt32LE(at + 20);
      const program = known.get(identity(fstatSync(file)));
      if (program === undefined) over = true;
      else {
        if (!starts.has(program.path) && isOurs(pid)) starts.set(program.path, { ...program, by: commandOf(pid) });
        const answer = Buffer.alloc(8); // struct fanotify_response
        answer.writeInt32LE(file, 0);
        answer.writeUInt32LE(FAN_ALLOW, 4);
        writeSync(fd, answer);
      }
      closeSync(file);
    }
  }
  closeSync(fd);
  return [...starts.values()];
}

/** @param {import("node:fs").Stats} status */
const identity = ({ dev, ino }) => `${dev}:${ino}`;

/**
 * Whether it descends from this process. A process whose parent has ended does not count. Neither do scripts and hooks
 * that apt and dpkg start: they belong to their packages.
 * @param {number} pid
 * @returns {boolean}
 */
function isOurs(pid) {
  if (pid === process.pid) return true;
  const status = statusOf(pid);
  if (status === undefined || /^(apt|apt-get|dpkg)$/.test(status.program)) return false;
  return isOurs(status.parent);
}

/** @param {number} pid */
function statusOf(pid) {
  if (pid <= 1) return undefined;
  try {
    // proc_pid_stat(5); the name before it may contain any character.
    const [, parent] = readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /s, "")
      .split(" ");
    return { parent: Number(parent), program: basename(readlinkSync(`/proc/${pid}/exe`)) };
  } catch {
    return undefined;
  }
}

/** Returns the command line of the process before it becomes the program. @param {number} pid */
function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").trim().slice(0, 200);
  } catch {
    return `process ${pid}`;
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    if (!(error instanceof NotPrepared)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  },
);
