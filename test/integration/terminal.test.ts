/** A run in a real terminal: job control, signals, the size, and the terminal's state afterwards. */
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { asUser, eventually, must, ownDuration, run } from "../support/process.ts";
import { program, projectRoot } from "../support/project.ts";
import { alice, createWorld, type World } from "../support/world.ts";

let world: World;
let scratch: string;
let isolate: string;

const nap = `sleep ${ownDuration(1000)}`;

beforeAll(async () => {
  world = await createWorld({ size: 2 });
  scratch = mkdtempSync(join(tmpdir(), "isolate-terminal-"));
  chmodSync(scratch, 0o755);
  copyFileSync(join(projectRoot, "dist/test/try-syscall"), join(scratch, "try-syscall"));
  chmodSync(join(scratch, "try-syscall"), 0o755);
  // Keeps lines equally long for any checkout: a line that just fills the screen runs into the next.
  symlinkSync(program("isolate"), join(scratch, "isolate"));
  isolate = `isolate -z ${world.template} -d ${scratch}/try-syscall:/usr/bin/try-syscall:ro`;
}, 1_200_000);
afterAll(async () => {
  await world.close();
  rmSync(scratch, { recursive: true, force: true });
}, 300_000);
afterEach(async () => {
  await tmux("kill-server").catch(() => undefined);
  await world.settled();
});

/** This file's own servers, a new one for each shell: a server that is ending may still accept a connection. */
let servers = 0;
const tmux = (...args: string[]) => must(["tmux", "-f", "/dev/null", "-S", join(scratch, `tmux${servers}`), ...args]);

/** alice's interactive shell in an 80 by 24 terminal. */
async function openShell() {
  servers++;
  const shell = asUser(alice, [
    "env",
    "-i",
    "TERM=screen",
    `PATH=${scratch}:/usr/bin:/bin`,
    "PS1=host> ",
    `ISOLATE_SOCKET=${world.socket}`,
    "bash",
    "--norc",
    "--noprofile",
  ]);
  await tmux("new-session", "-d", "-s", "t", "-x", "80", "-y", "24", "-c", "/", ...shell);
  await shows(/host>$/);
}

/** The screen's lines without trailing blanks; the prompt is the last one. */
const screen = async (): Promise<string> =>
  (await tmux("capture-pane", "-p", "-J", "-S", "-", "-t", "t")).replace(/[ \t]+$/gm, "").trimEnd();
const shows = (pattern: RegExp): Promise<RegExpMatchArray> =>
  eventually(`the terminal shows ${pattern}`, async () => (await screen()).match(pattern), 30_000).catch(
    async (error: unknown) => {
      throw new Error(`${(error as Error).message}; it shows:\n${await screen()}`);
    },
  );
const keys = (...names: string[]) => tmux("send-keys", "-t", "t", ...names);
const type = (line: string) => tmux("send-keys", "-t", "t", "-l", `${line}\r`);

/** An interactive bash inside. */
async function openInside(): Promise<void> {
  await openShell();
  await type(`${isolate} -v 'PS1:box> ' bash --norc --noprofile`);
  await shows(/box>$/);
}

describe("an interactive shell", () => {
  test("has job control, and Ctrl-C ends only its foreground job", async () => {
    await openInside();
    expect(await screen()).not.toMatch(/no job control|cannot set terminal process group/);
    await type(`${nap}; echo status=$?`);
    await shows(/box> sleep [0-9.]+; echo status=\$\?$/);
    await eventually("it sleeps", async () => (await run(["pgrep", "-u", String(alice.uid), "-fx", nap])).code === 0);
    await keys("C-c");
    await shows(/\^C\n+box>$/);
    await type("echo still $((40+2)) $(id -u)");
    await shows(/^still 42 0$/m);
    await type("exit 7");
    await shows(/host>$/);
    await type("echo code=$?");
    await shows(/^code=7$/m);
  });

  test("suspends and resumes its own jobs", async () => {
    await openInside();
    await type("cat");
    await shows(/box> cat$/);
    await type("first");
    await shows(/^first\nfirst$/m);
    await keys("C-z");
    await shows(/Stopped +cat/);
    await type("jobs | wc -l; fg");
    await shows(/^1\ncat$/m);
    await type("second");
    await shows(/^second\nsecond$/m);
    await keys("C-d");
    await shows(/box>$/);
  });

  test("sees the terminal's size and every change of it", async () => {
    await openInside();
    await type("stty size; tty");
    await shows(/^24 80$/m);
    await tmux("resize-window", "-t", "t", "-x", "100", "-y", "30");
    await type("stty size");
    await shows(/^30 100$/m);
  });

  test("is notified of a resize while its command runs", async () => {
    await openInside();
    await type(
      "trap 'echo now $(stty size)' WINCH; echo loop; while read -t 1000 x || [ $? -gt 128 ]; do echo got $x; done",
    );
    await shows(/^loop$/m);
    await type("ready");
    await shows(/^got ready$/m);
    await tmux("resize-window", "-t", "t", "-x", "90", "-y", "20");
    await shows(/^now 20 90$/m);
    await keys("C-c");
  });
});

describe("a command in the foreground", () => {
  test("receives Ctrl-C and may continue: the run does not end", async () => {
    await openShell();
    await type(
      `${isolate} bash -c 'trap "echo caught; n=1\\$n" INT; echo up; until [ "$n" = 11 ]; do sleep 0.1; done; echo goes on; exit 5'`,
    );
    await shows(/^up$/m);
    await keys("C-c");
    await shows(/^(\^C)?caught$/m);
    await keys("C-c");
    await shows(/^goes on$/m);
    await shows(/host>$/);
    await type("echo code=$?");
    await shows(/^code=5$/m);
  });

  test("that does not handle Ctrl-C or Ctrl-\\ ends with the signal's exit code", async () => {
    await openShell();
    for (const [key, code] of [
      ["C-c", 130],
      ["C-\\", 131],
    ] as const) {
      await type(`${isolate} sh -c 'echo up before ${code}; exec sleep 1000'`);
      await shows(new RegExp(`^up before ${code}$`, "m"));
      await keys(key);
      await eventually("the run has ended", async () => (await world.leases()).length === 0);
      await type("echo code=$?");
      await shows(new RegExp(`code=${code}$`, "m"));
    }
  });

  test("is suspended by Ctrl-Z and resumed by fg", async () => {
    await openShell();
    await type(`${isolate} sh -c 'echo up; read line; echo line=$line; exit 6'`);
    await shows(/^up$/m);
    await keys("C-z");
    await shows(/Stopped.*isolate/);
    await shows(/host>$/);
    await type("echo the shell $((40+2))");
    await shows(/^the shell 42$/m);
    expect(await world.leases()).toHaveLength(1);
    await type("fg");
    await eventually(
      "it runs again",
      async () => !/ T/.test(await must(["ps", "-o", "pid=,stat=", "-p", String((await world.leases())[0]?.pid)])),
    );
    await type("hello");
    await shows(/^line=hello$/m);
    await shows(/host>$/);
    await type("echo code=$?");
    await shows(/^code=6$/m);
  });

  test("is suspended and resumed by TSTP and CONT from another process, and the shell notices", async () => {
    await openShell();
    await type(`${isolate} sh -c 'echo up; for i in $(seq 1000); do sleep 0.1; echo $i >/n; done'`);
    await shows(/^up$/m);
    const [lease] = await world.leases();
    const pid = String(lease?.pid);
    const [group] = (await must(["ps", "-o", "pgid=", "-p", pid])).trim().split("\n");
    /** Some of the processes, and not the engine's own. */
    const stopped = async (): Promise<boolean> =>
      (await must(["ps", "-eo", "pgid=,stat="])).split("\n").some((line) => line.trim().startsWith(`${group} T`));
    await must(["kill", "-TSTP", pid]);
    await shows(/Stopped.*isolate/);
    await eventually("it is suspended", stopped);
    await must(["kill", "-CONT", pid]);
    await eventually("it runs again", async () => !(await stopped()));
    await must(["kill", "-INT", pid]);
    await eventually("the run has ended", async () => (await world.leases()).length === 0);
  });

  test("in its own session has no terminal, and Ctrl-C and Ctrl-Z reach it", async () => {
    await openShell();
    // The shell waits for its child: the terminal's signals go to the whole group.
    await type(`${isolate} --new-session sh -c 'tty </dev/tty; echo up; ${nap}; echo sleep ended with $?; exit 3'`);
    await shows(/cannot open \/dev\/tty.*\n(.*\n)*up$/m);
    const sleeping = async () =>
      (await run(["sh", "-c", `ps -o stat= -p "$(pgrep -u ${alice.uid} -fx "${nap}")"`])).stdout;
    await eventually("the command sleeps", async () => /^S/m.test(await sleeping()));
    await keys("C-z");
    await shows(/Stopped.*isolate/);
    await eventually("the command is suspended", async () => /^T/m.test(await sleeping()));
    await type("fg");
    await eventually("it runs again", async () => !/^T/m.test(await sleeping()));
    await keys("C-c");
    await eventually("the run has ended", async () => (await world.leases()).length === 0);
    await type("echo code=$?");
    await shows(/^code=130$/m);
  });

  test("with -i continues after Ctrl-C", async () => {
    await openShell();
    await type(`${isolate} -i sh -c 'echo up; read line; exit 4'`);
    await shows(/^up$/m);
    await keys("C-c");
    await type("");
    await shows(/host>$/);
    await type("echo code=$?");
    await shows(/^code=4$/m);
  });

  test("types nothing into the caller's terminal", async () => {
    await openShell();
    await type(
      `${isolate} sh -c 'try-syscall ioctl 0x5412; try-syscall ioctl 0x100005412; try-syscall ioctl 0x541c'; echo done`,
    );
    await shows(/^EPERM\nEPERM\nEPERM\ndone$/m);
    await type("echo next");
    // The attack injects a line feed: nothing may appear between the two prompts.
    await shows(/^done\nhost> echo next\nnext$/m);
  });

  test("leaves the terminal's modes as they were", async () => {
    await openShell();
    const modes = async (file: string): Promise<string> => {
      await type(`stty -a > /tmp/${file}-$$ 2>&1; cp /tmp/${file}-$$ /dev/null; echo saved=/tmp/${file}-$$`);
      const path = (await shows(new RegExp(`^saved=(/tmp/${file}-\\d+)$`, "m")))[1] ?? "";
      try {
        return readFileSync(path, "utf8");
      } finally {
        rmSync(path, { force: true });
      }
    };
    const before = await modes("before");
    expect(before).toContain("speed");
    for (const [n, command] of ["true", "bash --norc -ic true", "sh -c 'kill -KILL $$'"].entries()) {
      await type(`${isolate} ${command}; echo ended ${n}`);
      await shows(new RegExp(`^ended ${n}$`, "m"));
    }
    expect(await modes("after")).toBe(before);
  });
});

const trapping = "sh -c 'trap : HUP TERM; echo up; sleep 1000; sleep 1000'";

/** Starts a run in a shell's terminal, which is closed once `ready` resolves; checks that nothing of it is left. */
async function closeDuring(command: string, ready: () => Promise<unknown>): Promise<void> {
  const before = await world.settled();
  await openShell();
  await type(`${isolate} ${command}`);
  const [lease] = await eventually("it runs", async () => {
    const leases = await world.leases();
    return leases.length === 1 ? leases : null;
  });
  await ready();
  await tmux("kill-session", "-t", "t");
  await eventually("it has ended", async () => (await run(["kill", "-0", String(lease?.pid)])).code !== 0, 60_000);
  expect(await world.settled()).toEqual(before);
}

test.each(["sleep 1000", trapping, "bash --norc -i"])("closing the terminal ends the sandbox of %s", (command) =>
  closeDuring(command, async () => {}),
);

test("closing the terminal of a suspended run ends its sandbox, however its command handles that", () =>
  // The kernel signals only the foreground job; the shell signals this one.
  closeDuring(trapping, async () => {
    await shows(/^up$/m);
    await keys("C-z");
    await shows(/Stopped.*isolate/);
  }));
