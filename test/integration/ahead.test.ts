/** An ordinary run starts its engine before it has its lease: the engine's fate if no lease comes, or another one. */
import type { ChildProcess } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Socket } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { IsolateError } from "../../protocol/errors.ts";
import { eventually, finished, must, type Outcome, ownDuration, run, start } from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, createWorld, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld({ size: 2 });
}, 1_200_000);
afterAll(() => world.close(), 300_000);

let runs: ChildProcess[] = [];
afterEach(async () => {
  for (const client of runs) client.kill("SIGKILL");
  runs = [];
  goOn();
  await gone();
});

/** In each command line, so that another run of these tests on this machine is not mistaken for this one. */
const mark = `# ${process.pid}`;
/** The user's bubblewrap processes that wait for their options, or have waited. */
const engines = async (): Promise<number[]> =>
  (await run(["pgrep", "-u", String(alice.uid), "-f", `^\\S*/bwrap --args .*${mark}$`])).stdout
    .split("\n")
    .filter(Boolean)
    .map(Number);
const gone = () => eventually("no engine is left", async () => (await engines()).length === 0);
const waits = /^(isolate: waiting for .*\n)?$/;
const goOn = () => process.kill(world.daemonPid(), "SIGCONT");
const pinned = (): string => join(world.runtime, `users/${alice.uid}/userns.${alice.gid}`);

interface Waiting {
  readonly client: ChildProcess;
  readonly ended: Promise<Outcome>;
  readonly engine: number;
}

/** A run in its own session, to which the daemon says nothing. */
async function waitingRun(command: string, socket = world.socket): Promise<Waiting> {
  // The user's first lease pins the namespace.
  await must([program("isolate"), "-z", world.template, "true"], { as: alice, env: { ISOLATE_SOCKET: world.socket } });
  await world.settled();
  if (socket === world.socket) process.kill(world.daemonPid(), "SIGSTOP");
  const client = start(["setsid", program("isolate"), "-z", world.template, "sh", "-c", `${command} ${mark}`], {
    as: alice,
    env: { ISOLATE_SOCKET: socket },
  });
  runs.push(client);
  const ended = finished(client);
  const [engine = 0] = await eventually("its engine is there", async () => {
    const found = await engines();
    return found.length === 1 ? found : null;
  });
  return { client, ended, engine };
}

test.each([
  ["SIGTERM", 1, 143, ""],
  ["SIGINT", -1, 130, ""],
  ["SIGHUP", -1, 129, ""],
  ["SIGUSR1", 1, 138, ""],
  // SIGKILL cannot be caught: bubblewrap finds that its options are incomplete.
  ["SIGKILL", 1, 137, "bwrap: --userns takes an argument\n"],
] as const)("%s while the run waits ends its engine with it", async (signal, whom, code, complaint) => {
  const { client, ended } = await waitingRun("echo ran");
  process.kill(whom * (client.pid ?? 0), signal);
  const { stderr, ...rest } = await ended;
  expect(rest).toEqual({ code, stdout: "" });
  expect(stderr.replace(/^isolate: waiting for .*\n/, "")).toBe(complaint);
  await gone();
  goOn();
  await world.settled();
});

test.each(["SIGKILL", "SIGTERM"] as const)("%s at any moment of a start leaves nothing", async (signal) => {
  for (let late = 0; late < 8; late += 0.4) {
    const { client, ended } = await waitingRun("sleep 100000");
    goOn();
    for (const at = performance.now() + late; performance.now() < at; );
    client.kill(signal);
    const { stderr, ...rest } = await ended;
    expect(rest).toEqual({ code: 128 + constants.signals[signal], stdout: "" });
    if (signal === "SIGTERM") expect(stderr).toMatch(waits);
  }
  await world.settled();
  await gone();
  // Any process that the daemon had to end had failed to end on its own.
  expect(world.log()).not.toContain("outlived");
});

test("reports an engine killed before it had its options like one killed later", async () => {
  const { ended, engine } = await waitingRun("echo ran");
  process.kill(engine, "SIGKILL");
  goOn();
  expect(await ended).toMatchObject({ code: 137, stdout: "" });
  await world.settled();
});

test("a refused lease ends the waiting engine", async () => {
  const { ended } = await waitingRun("echo ran");
  expect(await world.endDaemon("SIGKILL")).toBe(137);
  expect(await ended).toMatchObject({
    code: 125,
    stdout: "",
    stderr: expect.stringContaining("the daemon closed the connection"),
  });
  await gone();
  await world.startDaemon();
});

test("a run that must turn to another daemon gets that daemon's namespace and lease", async () => {
  const other = join(world.runtime, "other");
  const connections: Socket[] = [];
  const server = createServer((socket) => connections.push(socket)).unref();
  await new Promise<void>((resolve) => server.listen(other, resolve));
  chmodSync(other, 0o666);
  const { client, ended } = await waitingRun("readlink /proc/self/ns/user; sleep 100000", other);
  const before = statSync(pinned()).ino;
  await world.endDaemon("SIGKILL");
  await world.startDaemon();
  expect((await world.isolate(["-z", world.template, "true"])).code).toBe(0);
  const namespace = statSync(pinned()).ino;
  expect(namespace).not.toBe(before);
  rmSync(other);
  symlinkSync(world.socket, other);
  const body = JSON.stringify(new IsolateError("draining", {}).body());
  for (const socket of connections)
    socket.end(`HTTP/1.1 503 Service Unavailable\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  await eventually("it runs", async () => (await world.leases()).length === 1);
  await gone();
  expect(await world.leases()).toHaveLength(1);
  client.kill("SIGTERM");
  expect(await ended).toEqual({ code: 143, stdout: `user:[${namespace}]\n`, stderr: expect.stringMatching(waits) });
  await world.settled();
});

test("a run uses the new namespace if its own was replaced while it waited", async () => {
  const duration = ownDuration(100_000);
  const first = world.begin(["-z", world.template, "sleep", duration]);
  const [lease] = await eventually("it runs", async () => {
    const leases = await world.leases();
    return leases.length === 1 ? leases : null;
  });
  const inside = (await must(["pgrep", "-u", String(alice.uid), "-fx", `sleep ${duration}`])).trim();
  const maps = ["uid_map", "gid_map"].map((name) => [name, readFileSync(`/proc/${inside}/${name}`, "utf8")] as const);
  first.kill("SIGKILL");
  expect(lease).toBeDefined();
  const holder = start(["unshare", "--user", "sleep", "100000"], { as: alice });
  const own = readlinkSync("/proc/self/ns/user");
  try {
    await eventually("there is another namespace", () => readlinkSync(`/proc/${holder.pid}/ns/user`) !== own);
    for (const [name, map] of maps) writeFileSync(`/proc/${holder.pid}/${name}`, map);
    const { ended } = await waitingRun("readlink /proc/self/ns/user; id -u");
    await must(["mount", "--bind", `/proc/${holder.pid}/ns/user`, pinned()]);
    goOn();
    const outcome = await ended;
    await must(["umount", pinned()]);
    expect(outcome).toEqual({
      code: 0,
      stdout: `${readlinkSync(`/proc/${holder.pid}/ns/user`)}\n0\n`,
      stderr: expect.anything(),
    });
  } finally {
    holder.kill("SIGKILL");
  }
  await world.settled();
});

test("a file that is not a namespace in its place does not block a run", async () => {
  const directory = mkdtempSync(join(tmpdir(), "isolate-ahead-"));
  chmodSync(directory, 0o755);
  symlinkSync(world.socket, join(directory, "socket"));
  mkdirSync(join(directory, `users/${alice.uid}`), { recursive: true });
  await must(["mkfifo", "-m", "666", join(directory, `users/${alice.uid}/userns.${alice.gid}`)]);
  const outcome = await world.isolate(["-z", world.template, "id", "-u"], {
    env: { ISOLATE_SOCKET: join(directory, "socket") },
    patience: 10_000,
  });
  rmSync(directory, { recursive: true });
  expect(outcome).toEqual({ code: 0, stdout: "0\n", stderr: expect.stringMatching(waits) });
});

test("a run uses one keyring: the kernel allows 200 per user", async () => {
  const user = { ...alice, uid: 61104, gid: 61104 }; // no other process's keys are counted
  const keys = (): number =>
    Number(
      new RegExp(`^ *${user.uid}: .* (\\d+)/\\d+ \\d+/\\d+ *$`, "m").exec(readFileSync("/proc/key-users", "utf8"))?.[1],
    );
  // Her first lease pins her namespace.
  expect((await world.isolate(["-z", world.template, "true"], { as: user })).code).toBe(0);
  const runs = [1, 2].map(() => world.begin(["-z", world.template, "sleep", "100000"], { as: user }));
  await eventually("they run", async () => (await world.leases()).length === 2);
  await eventually("they have a keyring each", () => keys() === 2);
  for (const one of runs) one.kill("SIGTERM");
  await world.settled();
});

test("the engine has the lease and no other descriptor of the client, and its command line shows no binds", async () => {
  const { ended, engine } = await waitingRun("sleep 0.2");
  const open = (await must(["sh", "-c", `ls -l /proc/${engine}/fd | grep -o '[^ ]* -> .*'`])).trim().split("\n");
  expect(
    open
      .filter((line) => !/^[012] ->/.test(line))
      .map((line) => line.replace(/\d+/g, "N"))
      .sort(),
  ).toEqual([`N -> ${pinned().replace(/\d+/g, "N")}`, "N -> pipe:[N]", "N -> socket:[N]", "N -> socket:[N]"]);
  goOn();
  expect((await ended).code).toBe(0);
});
