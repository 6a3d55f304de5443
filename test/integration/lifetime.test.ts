/** However a run ends, its clone is destroyed and the pool is filled again; and a run ends only when it should. */
import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { eventually, finished, must, ownDuration, root, run } from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, createWorld, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
}, 1_200_000);
afterAll(() => world.close(), 300_000);

/** A sandbox whose command has reported that it is up. */
async function up(command: string): Promise<ChildProcess> {
  const child = world.begin(["-z", world.template, "sh", "-c", `echo up; ${command}`]);
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  return child;
}

/** Host pids of a process and all its descendants. */
async function tree(pid: number): Promise<number[]> {
  const { stdout } = await run(["ps", "-o", "pid=", "--ppid", String(pid)]);
  const children = stdout.trim().split(/\s+/).filter(Boolean).map(Number);
  return [pid, ...(await Promise.all(children.map(tree))).flat()];
}

const alive = async (pids: number[]) =>
  (await run(["ps", "-o", "pid=,stat=", "-p", pids.join(",")])).stdout
    .split("\n")
    .filter((line) => line.trim() && !/ Z/.test(line));

describe("the sandbox and its clone are gone after", () => {
  test.each([
    ["kill -9 of the client, which is the monitor", "sleep 1000", (pids: number[]) => ["kill", "-9", `${pids[0]}`]],
    ["kill -TERM of the client", "sleep 1000", (pids: number[]) => ["kill", "-TERM", `${pids[0]}`]],
    ["kill -9 of the command", "exec sleep 1000", (pids: number[]) => ["kill", "-9", `${pids.at(-1)}`]],
    ["kill -9 of the engine", "sleep 1000", (pids: number[]) => ["kill", "-9", `${pids[1]}`]],
    ["kill -9 of the first program inside", "sleep 1000", (pids: number[]) => ["kill", "-9", `${pids[2]}`]],
    ["kill -HUP, as when a terminal closes", "sleep 1000", (pids: number[]) => ["kill", "-HUP", `${pids[0]}`]],
    [
      "a command that ignores TERM, with a background daemon",
      "trap '' TERM; setsid sh -c \"trap '' TERM HUP; sleep 1000\" & sleep 1000",
      (pids: number[]) => ["kill", "-9", `${pids[0]}`],
    ],
  ])("%s", async (_what, command, kill) => {
    const before = await world.settled();
    const child = await up(command);
    const pids = await eventually("the command runs", async () => {
      const found = await tree(child.pid ?? 0);
      return found.length >= 4 ? found : null;
    });
    const end = finished(child);
    await must(kill(pids));
    await end;
    await eventually("every process of the sandbox has ended", async () => (await alive(pids)).length === 0);
    expect(await world.settled()).toEqual(before);
  });

  test("timeout(1), which returns its own code", async () => {
    const client = program("isolate");
    const { code } = await run(["timeout", "1", client, "-z", world.template, "sleep", "1000"], {
      as: alice,
      env: { ISOLATE_SOCKET: world.socket },
    });
    expect(code).toBe(124);
    await world.settled();
  });
});

test("an engine killed at any moment of its start leaves no process and no clone", async () => {
  const before = await world.settled();
  const duration = ownDuration(4321);
  for (let round = 0; round < 60; round++) {
    const child = world.begin(["-z", world.template, "sleep", duration]);
    setTimeout(() => child.kill("SIGKILL"), 5 + round / 2);
    await finished(child);
  }
  await eventually(
    "no sandbox is left",
    async () => (await run(["pgrep", "-u", String(alice.uid), "-f", `sleep ${duration}`])).code === 1,
  );
  expect(await world.settled()).toEqual(before);
});

test("a background job ends with the command, and the run does not wait for it", async () => {
  expect((await world.isolate(["-z", world.template, "sh", "-c", "sleep 1000 & exit 3"])).code).toBe(3);
  await world.settled();
});

test("a run in the background outlives the shell that started it", async () => {
  const env = { ISOLATE_SOCKET: world.socket };
  const shell = `nohup "$0" -z "$1" sleep 1001 >/dev/null 2>&1 & echo $!`;
  const { stdout } = await run(["sh", "-c", shell, program("isolate"), world.template], { as: alice, env });
  const pid = Number(stdout);
  await eventually("it runs", async () => (await world.leases()).some((lease) => lease.pid === pid));
  expect(await alive([pid])).toHaveLength(1);
  await must(["kill", "-TERM", String(pid)]);
  await world.settled();
});

test("a monitor that gets no processor for seconds still reports how its command ended", async () => {
  const before = await world.settled();
  const child = world.begin(["-z", world.template, "sh", "-c", "echo up; sleep 1; exit 7"]);
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  const end = finished(child);
  child.kill("SIGSTOP");
  await eventually("its clone is given back", async () => (await world.leases()).length === 0);
  await sleep(2500);
  child.kill("SIGCONT");
  expect((await end).code).toBe(7);
  expect(await world.settled()).toEqual(before);
});

test("a run whose client dies while it waits takes no clone", async () => {
  await world.isolate(["-r", world.template, "0"], { as: root });
  const child = world.begin(["-z", world.template, "sleep", "1000"]);
  child.kill("SIGKILL");
  await finished(child);
  await eventually("nothing is left", async () => {
    const { ready, leased, retired, creating } = await world.pool();
    return ready + leased + retired + creating === 0;
  });
  await world.isolate(["-r", world.template, "3"], { as: root });
});

test("yes | head ends quietly, and the descriptor limit inside is the caller's", async () => {
  expect(await world.isolate(["-z", world.template, "sh", "-c", "yes | head -1"])).toEqual({
    code: 0,
    stdout: "y\n",
    stderr: "",
  });
  const client = program("isolate");
  const { stdout } = await run(
    ["sh", "-c", 'ulimit -Sn 333; exec "$0" -z "$1" sh -c "ulimit -Sn"', client, world.template],
    { as: alice, env: { ISOLATE_SOCKET: world.socket } },
  );
  expect(stdout).toBe("333\n");
});
