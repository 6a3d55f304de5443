/** PRE_SPAWN_HOOK and POST_SPAWN_HOOK: around each run, on the host, as the caller. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { finished, must, type Outcome, ownDuration, root, run, type User } from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, createWorld, type World } from "../support/world.ts";

let world: World;
/** Belongs to alice; every caller's working directory here. */
let scratch: string;
beforeAll(async () => {
  world = await createWorld();
  scratch = world.scratch(alice);
}, 1_200_000);
afterAll(() => world.close(), 300_000);
afterEach(async () => {
  await run(["sh", "-c", `rm -f ${scratch}/*; pgrep -fx "${idle}" | xargs -r kill -9`]);
  await world.settled();
});

interface Hooks {
  readonly pre?: string;
  readonly post?: string;
}
/** A sleep time that only a hook or a command here uses, and no other process on this machine. */
const idle = `sleep ${ownDuration(4711)}`;
const environment = ({ pre = "", post = "" }: Hooks) => ({ PRE_SPAWN_HOOK: pre, POST_SPAWN_HOOK: post });
const hooked = (hooks: Hooks, args: readonly string[], as: User = alice): Promise<Outcome> =>
  world.isolate(args, { as, cwd: scratch, env: environment(hooks) });
const inClone = (...command: readonly string[]): string[] => ["-z", world.template, ...command];

describe.each([
  ["bwrap", alice, []],
  ["bwrap of root", root, []],
  ["chroot", root, ["-e", "chroot"]],
] as const)("%s:", (_engine, as, engine) => {
  test("run before and after the command, as the caller, in its working directory, with ROOTFS", async () => {
    const pre = 'echo "pre $(id -u) $PWD $(. "$ROOTFS/etc/os-release"; echo $ID)"; echo "$ROOTFS" >root';
    const post = `echo "post $(cat "$ROOTFS/var/m") $PRE_SPAWN_HOOK$POST_SPAWN_HOOK"; echo "$ROOTFS" | cmp - root; ls ${tmpdir()} | grep -c "${basename(world.directory)}"`;
    const { code, stdout } = await hooked(
      { pre, post },
      [...engine, ...inClone("sh", "-c", "echo in; echo mine >/var/m; env | grep -c -e HOOK -e ROOTFS; true")],
      as,
    );
    expect(stdout).toBe(`pre ${as.uid} ${scratch} debian\nin\n0\npost mine \n1\n`);
    expect(code).toBe(0);
  });

  test("kill -9 of the client ends the sandbox too", async () => {
    const child = world.begin([...engine, ...inClone("sh", "-c", `echo up; ${idle}`)], {
      as,
      env: environment({ post: "true" }),
    });
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    const end = finished(child);
    child.kill("SIGKILL");
    await end;
    await world.settled();
    // It ends on its own; otherwise the daemon would have killed it some seconds later.
    const { stdout } = await world.isolate(["log", "--json", "--limit", "1"], { as: root });
    expect(JSON.parse(stdout)).toMatchObject([{ end: "ended" }]);
  });
});

describe("Hooks are word-split and a failing one does not stop the run:", () => {
  test("each is one command for the shell", async () => {
    const pre = `set -- "two  words" '*'; for word; do echo "<$word>"; done`;
    expect((await hooked({ pre }, inClone("echo", "ran"))).stdout).toBe("<two  words>\n<*>\nran\n");
  });

  test("a failing pre hook: no command, no post hook, the clone is returned, one error", async () => {
    const before = await world.settled();
    const outcome = await hooked({ pre: "touch begun; exit 3", post: "touch after" }, inClone("echo", "ran"));
    expect(outcome).toEqual({
      code: 125,
      stdout: "",
      stderr:
        "isolate: cannot run: PRE_SPAWN_HOOK failed with exit code 3\n  fix that command, or unset the variable\n",
    });
    expect([existsSync(join(scratch, "begun")), existsSync(join(scratch, "after"))]).toEqual([true, false]);
    expect(await world.settled()).toEqual(before);
  });
});

describe("a pre hook that hangs", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("ends on %s with all its processes, and the clone is returned", async (signal, expected) => {
    const before = await world.settled();
    const pre = `(trap '' TERM; setsid sh -c "trap '' TERM; ${idle}") & echo up; ${idle}; touch ${scratch}/late`;
    const child = world.begin(inClone("echo", "ran"), { env: environment({ pre, post: `touch ${scratch}/after` }) });
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    const end = finished(child);
    child.kill(signal);
    expect((await end).code).toBe(expected);
    expect((await run(["pgrep", "-f", idle])).code).toBe(1);
    expect([existsSync(join(scratch, "late")), existsSync(join(scratch, "after"))]).toEqual([false, false]);
    expect(await world.settled()).toEqual(before);
  });
});

describe("the post hook", () => {
  test.each([
    ["the command fails", inClone, ["sh", "-c", "exit 7"], 7],
    ["it is killed", inClone, ["sh", "-c", "kill -KILL $$"], 137],
    ["it does not exist", inClone, ["no-such-command"], 127],
  ] as const)("runs if %s, and its own failure does not hide that", async (_what, where, command, code) => {
    const outcome = await hooked({ post: "echo after; exit 5" }, where(...command));
    expect(outcome.code).toBe(code);
    expect(outcome.stdout).toBe("after\n");
    expect(outcome.stderr).toContain("isolate: cannot finish: POST_SPAWN_HOOK failed with exit code 5\n");
  });

  test("runs if the engine could not start", async () => {
    const { code, stdout, stderr } = await hooked({ post: "echo after" }, ["-p", "/nowhere", ...inClone("true")]);
    expect({ code, stdout }).toEqual({ code: 125, stdout: "after\n" });
    expect(stderr).toContain("cannot start in '/nowhere'");
  });

  test("runs if TERM ends the client, after the command's end and before the clone's", async () => {
    const child = world.begin(
      inClone("sh", "-c", "trap 'echo ended >/var/m; exit 6' TERM; echo up; while :; do sleep 0.1; done"),
      {
        env: environment({ post: 'echo after it has $(cat "$ROOTFS/var/m")' }),
      },
    );
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    const end = finished(child);
    child.kill("SIGTERM");
    expect(await end).toMatchObject({ code: 6, stdout: "after it has ended\n" });
  });

  test("reports its failure if the command succeeded", async () => {
    expect((await hooked({ post: "exit 5" }, inClone("true"))).code).toBe(125);
  });
});

test("a process that a hook leaves behind on purpose survives, and holds no lease", async () => {
  const pre = `${idle} </dev/null >/dev/null 2>&1 &`;
  expect((await hooked({ pre }, inClone("true"))).code).toBe(0);
  await world.settled();
  expect((await run(["pgrep", "-fx", idle])).code).toBe(0);
});

test("prints a warning once, even if a second client runs the command", async () => {
  const directory = join(scratch, "d");
  await must(["mkdir", "-p", `${directory}/bin`]);
  try {
    const { stderr } = await hooked({ pre: "true" }, ["-e", "chroot", "-t", directory, "x"], root);
    expect(stderr.match(/does not isolate/g)).toHaveLength(1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("hooks also run with -t; not for a template edit, a listing or a nested run", async () => {
  const directory = join(scratch, "d");
  await must(["mkdir", "-p", `${directory}/bin`], { as: alice });
  try {
    const outcome = await hooked({ pre: 'echo "$ROOTFS"' }, ["-t", directory, "x"]);
    expect(outcome.stdout).toBe(`${directory}\n`);
  } finally {
    rmSync(directory, { recursive: true });
  }
  const mark = { pre: `echo ran >>${scratch}/mark` };
  await hooked(mark, ["template", "edit", world.template, "true"], root);
  await hooked(mark, ["pool"]);
  expect(existsSync(join(scratch, "mark"))).toBe(false);
  const nested = { pre: `echo ran >>${scratch}/mark; ${program("isolate")} -z ${world.template} echo nested` };
  expect((await hooked(nested, inClone("echo", "ran"))).stdout).toBe("nested\nran\n");
  expect(readFileSync(join(scratch, "mark"), "utf8")).toBe("ran\n");
});
