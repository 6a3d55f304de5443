// isolate-init as pid 1 of real bwrap sandboxes, run by an ordinary user, as its command, its starter and the holder of
// the lease's other end see it.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, test } from "@jest/globals";
import { allow, callNumber, firstArgument, give, ifEqual, instructions, load, refuse } from "../support/bpf.ts";

const dist = fileURLToPath(new URL("../../../", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "isolate-init-test-"));
const init = join(scratch, "isolate-init");
const trySyscall = join(scratch, "try-syscall");
const asUser = process.getuid?.() === 0 ? ["setpriv", "--reuid=61200", "--regid=61200", "--clear-groups"] : [];
const environment = { PATH: "/usr/bin:/bin" };

chmodSync(scratch, 0o755);
copyFileSync(join(dist, "bin/isolate-init"), init);
copyFileSync(join(dist, "test/try-syscall"), trySyscall);
afterAll(() => rmSync(scratch, { recursive: true }));

function bwrap(...rest: string[]): string[] {
  const root = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"];
  const programs = ["--ro-bind", init, "/dev/isolate-init", "--ro-bind", trySyscall, "/dev/try-syscall"];
  return [...asUser, "bwrap", "--unshare-user", "--unshare-pid", "--as-pid-1", ...root, ...programs, ...rest];
}

const underInit = (...args: string[]) => bwrap("/dev/isolate-init", ...args);
const sh = (script: string) => ["sh", "-c", script];
const shell = (script: string) => underInit("--", ...sh(script));

function run([program = "", ...args]: string[], moreDescriptors: number[] = []) {
  const result = spawnSync(program, args, {
    encoding: "utf8",
    env: environment,
    stdio: ["ignore", "pipe", "pipe", ...moreDescriptors],
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
  return { code: result.status, out: result.stdout, err: result.stderr };
}

function file(name: string, content: string | Buffer, mode: number): string {
  const path = join(scratch, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

const started: (() => void)[] = [];
afterEach(() => {
  for (const stop of started.splice(0)) stop();
});

/**
 * A sandbox that has printed its first line; its lease is descriptor 3. Its input is a fifo that stays open however the
 * sandbox ends, so that nothing inside ends because its input ended.
 */
async function start(script: string) {
  const fifo = join(scratch, "input");
  run(["mkfifo", fifo]);
  const input = openSync(fifo, "r+");
  const stdin = openSync(fifo, "r");
  const [program = "", ...args] = underInit("--lease-fd", "3", "--", ...sh(script));
  const child = spawn(program, args, { env: environment, stdio: [stdin, "pipe", "inherit", "pipe"] });
  closeSync(stdin);
  started.push(() => {
    child.kill("SIGKILL");
    closeSync(input);
    rmSync(fifo);
  });

  const lease = child.stdio[3] as Socket;
  const stdout = child.stdout as Socket;
  const sandbox = { out: "", leaseEnded: false };
  const ended = (stream: Socket) => new Promise<void>((resolve) => stream.once("end", resolve));
  const leaseEnd = ended(lease.resume()).then(() => {
    sandbox.leaseEnded = true;
  });
  const outEnd = ended(stdout);
  const line = () => new Promise<void>((resolve) => stdout.once("data", () => resolve()));
  stdout.on("data", (data) => {
    sandbox.out += data;
  });
  await Promise.race([line(), outEnd]);
  return Object.assign(sandbox, {
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    write: (text: string) => writeSync(input, text),
    line,
    end: () => Promise.all([leaseEnd, outEnd]),
  });
}

describe("exit code", () => {
  const noInterpreter = file("no-interpreter", "#!/nowhere/interpreter\n", 0o755);
  const foreign = file("foreign", Buffer.from("\x7fELF\x02\x01\x01\0 for another machine\n", "latin1"), 0o755);
  const noHashBang = file("no-hash-bang", 'echo "$0 $1"; exit 7\n', 0o755);
  const notExecutable = file("not-executable", "#!/bin/sh\n", 0o644);
  const closed = join(scratch, "closed");

  test.each([
    [0, "", ["true"]],
    [42, "", sh("exit 42")],
    [137, "", sh("kill -KILL $$")],
    [143, "", sh("kill -TERM $$")],
    [7, "", [noHashBang, "argument"]],
    [127, "isolate: cannot run nosuch: no such file or directory in the root filesystem\n", ["nosuch"]],
    [127, "isolate: cannot run /no/such: no such file or directory in the root filesystem\n", ["/no/such"]],
    [127, "isolate: cannot run : no such file or directory in the root filesystem\n", [""]],
    [
      127,
      `isolate: cannot run ${noInterpreter}: the interpreter in its #! line or ELF header does not exist in the root filesystem\n`,
      [noInterpreter],
    ],
    [126, `isolate: cannot run ${scratch}: permission denied (a directory, or not executable)\n`, [scratch]],
    [
      126,
      `isolate: cannot run ${notExecutable}: permission denied (a directory, or not executable)\n`,
      [notExecutable],
    ],
    [126, `isolate: cannot run ${foreign}: not a program for this machine\n`, [foreign]],
    [126, `isolate: cannot run ${foreign}/x: Not a directory\n`, [`${foreign}/x`]],
  ])("%i %j", (code, err, command) => {
    expect(run(underInit("--", ...command))).toMatchObject({ code, err });
  });

  test("a text file without a #! line gets its path and arguments", () => {
    expect(run(underInit("--", noHashBang, "argument")).out).toBe(`${noHashBang} argument\n`);
  });

  test.each([
    ["not found behind a directory that nobody may search", `${closed}:/usr/bin`, "nosuch", 127],
    ["a later directory is tried after a file that is not executable", `${scratch}:${scratch}/later`, "tool", 5],
    ["126 if no later directory has it", `${scratch}:/usr/bin`, "tool", 126],
    ["an empty element is the working directory", ":/usr/bin", "tool", 5],
    ["no PATH at all", undefined, "true", 0],
  ])("PATH: %s", (_, path, name, code) => {
    run(["mkdir", "-p", "-m", "000", closed]);
    run(["mkdir", "-p", join(scratch, "later")]);
    file("tool", "#!/bin/sh\nexit 1\n", 0o644);
    file("later/tool", "#!/bin/sh\nexit 5\n", 0o755);
    const set = path === undefined ? ["--unsetenv", "PATH"] : ["--setenv", "PATH", path];
    const at = ["--chdir", join(scratch, "later")];
    expect(run(bwrap(...set, ...at, "/dev/isolate-init", "--", name)).code).toBe(code);
  });
});

describe("refuses, with 125 and one sentence,", () => {
  const expected =
    "expected [--lease-fd N] [--hold-fd N] [--monitor-fd N] [--network-fd N] [--no-abstract-sockets] [--seccomp KIND] [--seccomp-fd N] [--no-new-userns] [--capabilities MASK [--own-network]] [--machine-id] -- COMMAND [ARG...]";
  const needsNumber = "--lease-fd needs the number of a descriptor above 2, not";

  test.each([
    [[], `no command: ${expected}`],
    [["--"], `no command: ${expected}`],
    [["true"], `unknown argument "true": ${expected}`],
    [["--lease", "3", "--", "true"], `unknown argument "--lease": ${expected}`],
    [["--lease-fd"], `${needsNumber} ""`],
    [["--lease-fd", "--", "true"], `${needsNumber} "--"`],
    [["--lease-fd", "2", "--", "true"], `${needsNumber} "2"`],
    [["--lease-fd", "3x", "--", "true"], `${needsNumber} "3x"`],
    [["--lease-fd", "4294967299", "--", "true"], `${needsNumber} "4294967299"`],
    [["--monitor-fd", "2", "--", "true"], '--monitor-fd needs the number of a descriptor above 2, not "2"'],
    [["--monitor-fd", "9", "--", "true"], "cannot keep the descriptor 9: Bad file descriptor"],
    [["--seccomp", "most", "--", "true"], '--seccomp needs default, tty or none, not "most"'],
    [["--seccomp"], '--seccomp needs default, tty or none, not ""'],
    [["--seccomp-fd", "x", "--", "true"], '--seccomp-fd needs the number of a descriptor above 2, not "x"'],
    [["--capabilities", "0x1", "--", "true"], '--capabilities needs a hexadecimal mask, not "0x1"'],
    [["--capabilities"], '--capabilities needs a hexadecimal mask, not ""'],
    [["--capabilities", "fffffffffffffffff", "--", "true"], "--capabilities needs a hexadecimal mask, not"],
    [["--lease-fd", "3", "--", "true"], "cannot keep the descriptor 3: Bad file descriptor"],
    [["--lease-fd", "9", "--", "true"], "cannot keep the descriptor 9: Bad file descriptor"],
  ])("%j", (args, sentence) => {
    const { code, out, err } = run(underInit(...args));
    expect({ code, out }).toEqual({ code: 125, out: "" });
    expect(err.startsWith(`isolate-init: ${sentence}`) && err.indexOf("\n") === err.length - 1).toBe(true);
  });

  test("to run except as pid 1, since its signals would reach the host", () => {
    expect(run([...asUser, init, "--", "echo", "ran"])).toMatchObject({ code: 125, out: "" });
  });

  test("to continue without a filter", () => {
    // The starter's own filter (seccomp(2), struct sock_filter), which refuses prctl(PR_SET_SECCOMP).
    const prctl = process.arch === "arm64" ? 167 : 157;
    const [EPERM, setSeccomp] = [1, 22];
    const filter = instructions([
      [load, 0, 0, callNumber],
      [ifEqual, 0, 3, prctl],
      [load, 0, 0, firstArgument],
      [ifEqual, 0, 1, setSeccomp],
      [give, 0, 0, refuse + EPERM],
      [give, 0, 0, allow],
    ]);
    const descriptor = openSync(file("refuse-seccomp", filter, 0o644), "r");
    const result = run(bwrap("--seccomp", "3", "/dev/isolate-init", "--", "echo", "ran"), [descriptor]);
    closeSync(descriptor);
    const err = "isolate-init: cannot install the seccomp filter: Operation not permitted\n";
    expect(result).toEqual({ code: 125, out: "", err });
  });
});

describe("the command", () => {
  test.each([
    [[]],
    [["--lease-fd", "3"]],
    [["--lease-fd", "6"]],
    [["--hold-fd", "5"]],
    [["--lease-fd", "4", "--hold-fd", "3"]],
    [["--lease-fd", "3", "--hold-fd", "6", "--capabilities", "0"]],
  ])("has descriptors 0, 1 and 2 only: %j", (options) => {
    const descriptors = [3, 4, 5, 6].map(() => openSync("/dev/null", "r"));
    expect(run(underInit(...options, "--", "/dev/try-syscall", "fds"), descriptors).out).toBe("0 1 2 OK\n");
    for (const descriptor of descriptors) closeSync(descriptor);
  });

  test("stays in the process group and session that started the sandbox", () => {
    // Both belong to a process outside the pid namespace: number 0.
    expect(run(underInit("--", "cut", "-d ", "-f5,6", "/proc/self/stat")).out).toBe("0 0\n");
  });

  describe("inherits signals:", () => {
    const ignored = (options: string[]) => {
      const command = underInit(...options, "--", "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status");
      return run(["sh", "-c", 'trap "" INT QUIT USR1; exec "$@"', "sh", ...command]).out;
    };

    test("none blocked, and ignored signals stay ignored", () => {
      expect(ignored([])).toBe("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000206\n");
    });

    test("an ignored CHLD too, and isolate-init still sees the exit code", () => {
      const childIgnored = ["env", "--ignore-signal=CHLD", "/dev/isolate-init", "--"];
      expect(run(bwrap(...childIgnored, "grep", "SigIgn", "/proc/self/status")).out).toBe(
        "SigIgn:\t0000000000010000\n",
      );
      expect(run(bwrap(...childIgnored, ...sh("exit 4"))).code).toBe(4);
    });
  });

  test("does not count as ended when it is stopped", () => {
    const wake = 'while ! grep -q "^State:.T" /proc/$pid/status; do sleep 0.01; done; kill -CONT $pid';
    expect(run(shell(`pid=$$; (${wake}) & kill -STOP $$; exit 5`)).code).toBe(5);
  });

  test("never sees an orphan that stays a zombie", () => {
    // The orphan ends after its parent; kill -0 still succeeds for a zombie.
    const orphan = "orphan=$(sh -c '(while kill -0 $$; do sleep 0.01; done) >/dev/null 2>&1 & echo $!')";
    const gone = "for i in $(seq 200); do kill -0 $orphan 2>/dev/null || { echo reaped; exit; }; sleep 0.01; done";
    expect(run(shell(`${orphan}; ${gone}; echo zombie`)).out).toBe("reaped\n");
  });
});

describe("the lease's descriptor", () => {
  test("is open exactly as long as the sandbox lives", async () => {
    const sandbox = await start("echo ready; read line; echo $line; read line");
    sandbox.write("still here\n");
    await sandbox.line();
    expect(sandbox).toMatchObject({ out: "ready\nstill here\n", leaseEnded: false });
    sandbox.write("end\n");
    await sandbox.end();
  });

  test("and every other process end with the command, including a daemon", async () => {
    const sandbox = await start('(trap "" TERM HUP; setsid sleep 60 &); echo ready; read line');
    sandbox.write("end\n");
    await sandbox.end();
  });

  test.each([
    ["3", "4"],
    ["4", "3"],
    ["6", "4"],
  ])("is held beside another: %s and %s", async (lease, held) => {
    const files = ["a", "b", "c", "d"].map((name) => file(name, "", 0o600));
    const descriptors = files.map((path) => openSync(path, "r"));
    const [program = "", ...args] = underInit(
      "--lease-fd",
      lease,
      "--hold-fd",
      held,
      "--",
      ...sh("echo up; read line"),
    );
    const child = spawn(program, args, { env: environment, stdio: ["pipe", "pipe", "inherit", ...descriptors] });
    for (const descriptor of descriptors) closeSync(descriptor);
    started.push(() => child.kill("SIGKILL"));
    await once(child.stdout as Socket, "data");
    const [init = ""] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").split(" ");
    const open = readdirSync(`/proc/${init}/fd`).map((name) => readlinkSync(`/proc/${init}/fd/${name}`));
    const kept = [lease, held].map((descriptor) => files[Number(descriptor) - 3] ?? "");
    expect(open.filter((path) => files.includes(path)).sort()).toEqual(kept.sort());
    child.stdin?.end("\n");
    await once(child, "exit");
  });

  test.each(["pidfd_getfd 1 3", "ptrace 1"])("cannot be taken inside: %s", (call) => {
    const descriptor = openSync("/dev/null", "r");
    const command = ["/dev/try-syscall", ...call.split(" ")];
    expect(run(underInit("--lease-fd", "3", "--", ...command), [descriptor]).out).toBe("EPERM\n");
    // It can be taken from a process without protection.
    const ofParent = `exec 3</dev/null; ${command.join(" ").replace(" 1", " $PPID")}`;
    expect(run(shell(`exec 3</dev/null; sh -c '${ofParent}'; true`)).out).toBe("OK\n");
    closeSync(descriptor);
  });
});

describe("the sandbox ends", () => {
  const bounded = "(sleep 60; kill -KILL $$) &"; // a stopped process does not see its input end
  const commands = {
    "a command": "echo ready; cat",
    "a command that ignores TERM": 'trap "" TERM; echo ready; cat',
    "a stopped command": `${bounded} echo ready; kill -STOP $$`,
    "a daemon": 'exec 3<&0; (trap "" TERM; setsid cat <&3 &); echo ready; cat',
  };
  const cases = Object.entries(commands).flatMap(([what, script]) =>
    (["SIGKILL", "SIGTERM"] as const).map((signal) => [what, signal, script] as const),
  );

  test.each(cases)("%s, when bwrap gets %s", async (_, signal, script) => {
    const sandbox = await start(script);
    sandbox.kill(signal);
    await sandbox.end();
    expect(sandbox.out).toBe("ready\n");
  });

  test("after its command had time to clean up, even a stopped command", async () => {
    const sandbox = await start(`${bounded} trap "echo tidied; exit" TERM; echo ready; kill -STOP $$; echo never`);
    sandbox.kill("SIGKILL");
    await sandbox.end();
    expect(sandbox.out).toBe("ready\ntidied\n");
  });

  test("at TERM to pid 1 with the command's code, after every other process had time to clean up", () => {
    const slow = "(trap 'sleep 0.2; echo tidied; exit' TERM; kill -TERM 1; while :; do sleep 0.01; done)";
    const result = run(shell(`trap "exit 9" TERM; ${slow} & wait`));
    expect(result).toMatchObject({ code: 9, out: "tidied\n" });
  });

  test("at TERM to pid 1 although its processes ignore it and new ones keep starting and ending", () => {
    const script = 'trap "" TERM; kill -TERM 1; for i in $(seq 50000); do (true & true & true &); done';
    expect(run(shell(script)).code).toBe(137);
  });
});

describe("the filter", () => {
  const requests = { TIOCSTI: "0x5412", TIOCLINUX: "0x541c", TIOCSETD: "0x5423" };
  // The kernel ignores these bits: CVE-2019-10063.
  const above32 = Object.entries(requests).flatMap(([name, value]) =>
    ["1", "123"].map((bits) => [`${name}|0x${bits}<<32`, value.replace("0x", `0x${bits}0000`)]),
  );
  const refused = [...Object.entries(requests), ...above32] as [string, string][];
  const x86 = [
    ["ioctl-int80", "ENOTTY"],
    ["ioctl-x32", trySyscallOutside("ioctl-x32", "0x5401")], // ENOSYS if the kernel has no x32
  ];
  const entries = [["ioctl", "ENOTTY"], ...(process.arch === "x64" ? x86 : [])] as [string, string][];
  const matrix = entries.flatMap(([call, unfiltered]) => refused.map((row) => [call, ...row, unfiltered] as const));

  /** On /dev/null, which knows no terminal request: EPERM there can only be the filter's. */
  function trySyscallOutside(...args: string[]): string {
    return run([trySyscall, ...args]).out.trim();
  }

  test.each(matrix)("%s refuses %s (%s; %s without it)", (call, _, request, unfiltered) => {
    expect(trySyscallOutside(call, request)).toBe(unfiltered);
    expect(run(underInit("--", "/dev/try-syscall", call, request)).out).toBe("EPERM\n");
  });

  test.each(entries)("%s lets other requests through", (call, unfiltered) => {
    expect(run(underInit("--", "/dev/try-syscall", call, "0x5401")).out).toBe(`${unfiltered}\n`);
  });

  test("applies to every process that the command starts, also in new namespaces", () => {
    const deep = "unshare -Urm sh -c 'sh -c \"/dev/try-syscall ioctl 0x5412\"; true'; true";
    expect(run(shell(`(${deep}) </dev/null`)).out).toBe("EPERM\n");
  });

  test("prevents a sandbox from typing into the terminal that started it", () => {
    // EIO instead of success: dev.tty.legacy_tiocsti=0.
    const onTerminal = (command: string[]) => run(["script", "-qec", command.join(" "), "/dev/null"]).out.trim();
    expect(["OK", "EIO"]).toContain(onTerminal(bwrap("/dev/try-syscall", "ioctl", "0x5412")));
    expect(onTerminal(underInit("--", "/dev/try-syscall", "ioctl", "0x5412"))).toBe("EPERM");
  });
});

describe("the root filesystem's machine-id(5)", () => {
  const root = join(scratch, "root");
  const etc = join(root, "etc");
  const make = (content: string | undefined): void => {
    rmSync(root, { recursive: true, force: true });
    for (const name of ["", "etc", "proc", "dev", "usr"]) mkdirSync(join(root, name));
    for (const name of ["bin", "lib", "lib64"]) symlinkSync(`usr/${name}`, join(root, name));
    chmodSync(etc, 0o777);
    if (content !== undefined) writeFileSync(join(etc, "machine-id"), content);
  };
  const inRoot = (...more: string[]) =>
    run(
      bwrap(
        ...["--bind", root, "/", "--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"],
        ...["--ro-bind", init, "/dev/isolate-init", ...more],
        ...["/dev/isolate-init", "--machine-id", "--", "cat", "/etc/machine-id"],
      ),
    );
  const of = (content: string | undefined): string => {
    make(content);
    const { code, out, err } = inRoot();
    expect({ code, err, left: readdirSync(etc) }).toEqual({ code: 0, err: "", left: ["machine-id"] });
    return out;
  };

  test("stays if there is one", () => {
    for (const id of ["0123456789abcdef0123456789abcdef\n", "0123456789abcdef0123456789abcdef"])
      expect(of(id)).toBe(id);
  });

  test.each([undefined, "", "uninitialized\n", "short\n", `${"0".repeat(32)}\n`, "x".repeat(32)])(
    "is new each time if there is %j",
    (content) => {
      const [one, other] = [of(content), of(content)];
      for (const id of [one, other]) expect(id).toMatch(/^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}\n$/);
      expect(one).not.toBe(other);
    },
  );

  test("is not written into an /etc that is not part of the root filesystem", () => {
    const other = join(scratch, "other-etc");
    mkdirSync(other);
    chmodSync(other, 0o777);
    make("");
    expect(inRoot("--bind", other, "/etc").code).toBe(1);
    rmSync(etc, { recursive: true });
    symlinkSync("srv", etc);
    mkdirSync(join(root, "srv"));
    expect(inRoot("--bind", other, "/srv").code).toBe(1);
    expect(readdirSync(other)).toEqual([]);
  });

  test("is not required if /etc cannot be written", () => {
    expect(run(bwrap("/dev/isolate-init", "--machine-id", "--", "true"))).toEqual({ code: 0, out: "", err: "" });
  });
});
