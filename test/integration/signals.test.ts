/**
 * Signals sent to `isolate` by kill(2): they reach the command once, and the exit code is the command's. For signals
 * from a terminal see terminal.test.ts.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { asUser, eventually, finished, must, root, run, start, type User } from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, createWorld, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
}, 1_200_000);
afterAll(() => world.close(), 300_000);
const started: ChildProcess[] = [];
afterEach(async () => {
  for (const child of started.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
  await world.settled();
});

const engines: readonly (readonly [engine: string, caller: User])[] = [
  ["bwrap", alice],
  ["bwrap of root", root],
  ["chroot", root],
];

interface Begin {
  readonly options?: readonly string[];
  /** Words in front of the client. */
  readonly before?: readonly string[];
}

/** A shell inside whose script has printed `up`; outside, the client leads its own process group. */
async function up(
  [engine, caller]: readonly [string, User],
  script: string,
  { options = [], before = [] }: Begin = {},
): Promise<ChildProcess> {
  const chosen = engine === "chroot" ? ["-e", "chroot"] : [];
  const words = [...chosen, ...options, "-z", world.template, "bash", "-c", script];
  const [first = "", ...rest] = asUser(caller, [...before, program("isolate"), ...words]);
  const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
  const env = { PATH, ISOLATE_SOCKET: world.socket };
  const child = spawn(first, rest, { cwd: "/", env, stdio: "pipe", detached: true });
  started.push(child);
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return child;
}

// Contains no $(...): bash loses a trapped signal that arrives while it reads one.
const awaitIt = "echo up; for i in {1..600}; do sleep 0.1; done; echo never";
const handed = ["INT", "HUP", "QUIT", "USR1", "USR2", "WINCH", "TSTP", "CONT"] as const;
const number = (name: string): number => constants.signals[`SIG${name}` as NodeJS.Signals];

describe.each(engines)("%s:", (...engine) => {
  test("each signal reaches the command, and the exit code is the command's", async () => {
    // TSTP must also stop the client; a process group without a shell is not suspended (setpgid(2)).
    const traps = handed.map((name) => `trap 'echo ${name}' ${name};`).join(" ");
    const child = await up(engine, `${traps} trap 'echo TERM; exit 7' TERM; ${awaitIt}`);
    let heard = "";
    child.stdout?.on("data", (text: Buffer) => {
      heard += text;
    });
    const end = finished(child);
    for (const name of handed) {
      child.kill(`SIG${name}`);
      await eventually(`the command gets ${name}`, () => heard.includes(`${name}\n`));
    }
    child.kill("SIGTERM");
    expect(await end).toMatchObject({ code: 7, stdout: `${handed.join("\n")}\nTERM\n` });
  });

  test("a signal that the command does not handle ends it, with the signal's exit code", async () => {
    for (const name of ["INT", "USR1", "TERM"] as const) {
      const child = await up(engine, "echo up; exec sleep 1000");
      const end = finished(child);
      child.kill(`SIG${name}`);
      expect((await end).code).toBe(128 + number(name));
    }
  });
});

const bwrap = ["bwrap", alice] as const;

test("a signal to the whole process group reaches the command once, and does not end the engine", async () => {
  // Longer than the copies of one signal may lie apart.
  const count =
    "n=0; trap 'n=$((n+1))' INT USR1; echo up; while [ $n = 0 ]; do sleep 0.05; done; sleep 0.5; echo $n; exit 8";
  for (const name of ["INT", "USR1"] as const) {
    const child = await up(bwrap, count);
    const end = finished(child);
    process.kill(-(child.pid ?? 0), `SIG${name}`);
    expect(await end).toMatchObject({ code: 8, stdout: "1\n" });
  }
});

/** Starts a job as a shell does, prints its pid, and waits: a job without a shell is not suspended (setpgid(2)). */
const shell = `
  use POSIX; $| = 1;
  my $job = fork;
  if (!$job) { setpgid(0, 0); exec @ARGV }
  print "job $job\\n";
  waitpid($job, 0); exit(($? & 127) ? 128 + ($? & 127) : $? >> 8);
`;

test("a job that is resumed before isolate-init notices its suspension continues", async () => {
  const client = [program("isolate"), "-z", world.template, "sh", "-c", "echo up; read line; exit 8"];
  const child = start(["setsid", "perl", "-e", shell, ...client], { as: alice, env: { ISOLATE_SOCKET: world.socket } });
  started.push(child);
  let heard = "";
  child.stdout?.on("data", (text: Buffer) => {
    heard += text;
  });
  await eventually("it is up", () => /^up$/m.test(heard) && /^job \d+$/m.test(heard));
  const job = Number(/^job (\d+)$/m.exec(heard)?.[1]);
  const init = Number(await must(["pgrep", "-n", "-g", String(job), "-x", "isolate-init"]));
  const state = (pid: number): string => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";
  process.kill(init, "SIGSTOP"); // CONT to the whole job also resumes it
  await eventually("isolate-init is stopped", () => state(init) === "T");
  process.kill(-job, "SIGTSTP");
  await eventually("the job is suspended", () => state(job) === "T");
  process.kill(-job, "SIGCONT");
  const end = finished(child, { input: "\n", patience: 10_000 });
  expect((await end).code).toBe(8);
});

test("a signal to the client alone, after one to the whole group, is not dropped as its copy", async () => {
  const child = await up(
    bwrap,
    "n=0; trap 'n=$((n+1)); echo $n' USR1; echo up; while [ $n -lt 3 ]; do sleep 0.05; done",
  );
  let heard = "";
  child.stdout?.on("data", (text: Buffer) => {
    heard += text;
  });
  const end = finished(child);
  for (const [so, far] of [
    [() => process.kill(-(child.pid ?? 0), "SIGUSR1"), "1\n"],
    [() => child.kill("SIGUSR1"), "1\n2\n"],
    [() => child.kill("SIGUSR1"), "1\n2\n3\n"],
  ] as const) {
    so();
    await eventually(`there is ${JSON.stringify(far)}`, () => heard === far);
  }
  expect((await end).code).toBe(0);
});

test("No handling of TERM and HUP: both reach the command, and TERM ends even a command that ignores it", async () => {
  const hup = await up(bwrap, `trap 'echo reloaded' HUP; trap 'echo tidied; exit 3' TERM; ${awaitIt}`);
  let heard = "";
  hup.stdout?.on("data", (text: Buffer) => {
    heard += text;
  });
  const end = finished(hup);
  hup.kill("SIGHUP");
  await eventually("it goes on after HUP", () => heard === "reloaded\n");
  hup.kill("SIGTERM");
  expect(await end).toMatchObject({ code: 3, stdout: "reloaded\ntidied\n" });

  const stubborn = await up(bwrap, "trap '' TERM; echo up; sleep 1000; sleep 1000");
  const killed = finished(stubborn);
  stubborn.kill("SIGTERM");
  expect((await killed).code).toBe(137);
});

describe("the command starts with the caller's", () => {
  const status = (before: readonly string[], options: readonly string[] = []) =>
    run([...before, program("isolate"), ...options, "-z", world.template, "grep", "Sig[BI]", "/proc/self/status"], {
      as: alice,
      env: { ISOLATE_SOCKET: world.socket },
    });

  test.each([
    ["nothing blocked or ignored", [], [], "0000000000000000", "0000000000000000"],
    [
      "blocked signals, including a real-time one",
      ["env", "--block-signal=INT,USR1,RTMIN"],
      [],
      "0000000200000202",
      "0000000000000000",
    ],
    [
      "ignored signals, including CHLD",
      ["env", "--ignore-signal=HUP,QUIT,CHLD"],
      [],
      "0000000000000000",
      "0000000000010005",
    ],
    ["ignored signals, and INT with -i", [], ["-i"], "0000000000000000", "0000000000000002"],
  ] as const)("%s", async (_what, before, options, blocked, ignored) => {
    expect(await status(before, options)).toEqual({
      code: 0,
      stdout: `SigBlk:\t${blocked}\nSigIgn:\t${ignored}\n`,
      stderr: "",
    });
  });

  test("an ignored TERM or HUP ends nothing, as with any program (nohup(1))", async () => {
    const before = ["env", "--ignore-signal=TERM,HUP"];
    const child = await up(bwrap, "echo up; read line; echo still here; exit 4", { before });
    const end = finished(child);
    for (const to of [child.pid ?? 0, -(child.pid ?? 0)]) {
      process.kill(to, "SIGTERM");
      process.kill(to, "SIGHUP");
    }
    expect(await end).toMatchObject({ code: 4, stdout: "still here\n" });
  });
});

test("-i: a run continues after INT", async () => {
  const child = await up(bwrap, "echo up; read line; exit 5", { options: ["-i"] });
  child.kill("SIGINT");
  process.kill(-(child.pid ?? 0), "SIGINT");
  const end = finished(child, { input: "\n" });
  expect((await end).code).toBe(5);
});

test("--new-session: the command leads a group in its own session, and signals still reach it", async () => {
  const { stdout } = await world.isolate([
    ...["--new-session", "-z", world.template],
    ...["cut", "-d ", "-f4-7", "/proc/self/stat"],
  ]);
  expect(stdout).toBe("1 2 1 0\n"); // parent, group, session, terminal
  const child = await up(bwrap, `trap 'echo INT; exit 6' INT; ${awaitIt}`, { options: ["--new-session"] });
  const end = finished(child);
  process.kill(-(child.pid ?? 0), "SIGINT");
  expect(await end).toMatchObject({ code: 6, stdout: "INT\n" });
});

test("the monitor is small, holds no lease, and ends with the sandbox", async () => {
  const child = await up(bwrap, "echo up; read line");
  const open = (await must(["ls", `/proc/${child.pid}/fd`]))
    .trim()
    .split("\n")
    .filter((fd) => Number(fd) > 2);
  expect(open).toHaveLength(1);
  expect(await must(["readlink", `/proc/${child.pid}/fd/${open[0]}`])).toMatch(/^pipe:/);
  expect((await run(["cat", `/proc/${child.pid}/comm`])).stdout).toBe("isolate-monitor\n");
  const end = finished(child, { input: "\n" });
  expect((await end).code).toBe(0);
  await expect(run(["kill", "-0", String(child.pid)])).resolves.toMatchObject({ code: 1 });
});
