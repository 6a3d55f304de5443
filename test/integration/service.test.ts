/** The daemon as a service: what it tells its manager, its configuration loaded again, and a start on demand. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { escapeUnitName } from "../../daemon/pools/unit-instance.ts";
import type { TemplateName } from "../../protocol/names.ts";
import { eventually, finished, root, type User } from "../support/process.ts";
import { alice, createWorld, group, type World } from "../support/world.ts";

/** Binds a datagram socket, which Node cannot, and prints what comes, each message on a line. */
const listener = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
while True: print(s.recv(65536).decode().replace("\\n", " | "), flush=True)
`;

let world: World;
let manager: ChildProcess;
let directory: string;
const messages: string[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "isolate-service-"));
  const socket = join(directory, "notify");
  manager = spawn("python3", ["-c", listener, socket], { stdio: ["ignore", "pipe", "inherit"] });
  let partial = "";
  manager.stdout?.on("data", (chunk: Buffer) => {
    const lines = (partial + chunk).split("\n");
    partial = lines.pop() ?? "";
    messages.push(...lines);
  });
  await eventually("the service manager listens", () => messages.includes("bound"));
  world = await createWorld({ size: 2, daemonEnvironment: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "600000" } });
}, 1_200_000);
afterAll(async () => {
  await world?.close();
  manager?.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
}, 300_000);

const said = (text: string): Promise<string> =>
  eventually(`the daemon says ${text}`, () => messages.find((line) => line.includes(text)));
const short = (): string => world.template.slice(world.template.lastIndexOf("/") + 1);

async function reload(): Promise<void> {
  messages.length = 0;
  process.kill(world.daemonPid(), "SIGHUP");
  await said("RELOADING=1 | MONOTONIC_USEC=");
  await said("READY=1 | STATUS=");
}

async function up(as: User = alice): Promise<ChildProcess> {
  const child = world.begin(["-z", world.template, "sh", "-c", "echo up; read line"], { as });
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  return child;
}

describe("what the service manager is told", () => {
  test("that the daemon is ready, once it is", async () => {
    expect(await said("READY=1")).toMatch(/^READY=1 \| STATUS=/);
  });

  test("how its pools are, whenever that changes", async () => {
    await said(`STATUS=2/2 ready ${short()}`);
    const child = await up();
    await said(`ready ${short()}, 1 leased`);
    messages.length = 0;
    await finished(child, { input: "\n" });
    expect(await said("STATUS=2/2 ready")).toBe(`STATUS=2/2 ready ${short()}`);
  });

  test("that it is alive, again and again", async () => {
    messages.length = 0;
    await eventually("three signs of life", () => messages.filter((line) => line === "WATCHDOG=1").length >= 3);
  });

  test("nothing of that while it does not run", async () => {
    process.kill(world.daemonPid(), "SIGSTOP");
    try {
      await new Promise((resolve) => setTimeout(resolve, 300));
      messages.length = 0;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      expect(messages).toEqual([]);
    } finally {
      process.kill(world.daemonPid(), "SIGCONT");
    }
    await said("WATCHDOG=1");
  });
});

test("the end of a lease touches the template's signal file", async () => {
  const file = join(world.runtime, "signal", escapeUnitName(world.template as TemplateName));
  const before = await up();
  await finished(before, { input: "\n" });
  const first = await eventually("the file is there", () => statSync(file, { throwIfNoEntry: false })?.mtimeMs);
  await world.settled();
  await world.isolate(["-z", world.template, "true"]);
  await eventually("it is touched again", () => statSync(file).mtimeMs > first);
});

describe("SIGHUP", () => {
  const entry = (more: string): string => `[[template]]\nname = "${world.template}"\n${more}\n`;

  test("the sizes of pools, and who may lease", async () => {
    world.configure(entry("size = 4"));
    await reload();
    expect(await world.settled()).toMatchObject({ size: 4, ready: 4 });
    world.configure(entry("size = 1\nusers = [1]"));
    await reload();
    expect(await world.settled()).toMatchObject({ size: 1, ready: 1 });
    expect((await world.isolate(["-z", world.template, "true"])).stderr).toContain(
      "its list of allowed users includes neither",
    );
    world.configure(entry("size = 2"));
    await reload();
    expect((await world.isolate(["-z", world.template, "true"])).code).toBe(0);
  });

  test("what only a start can change is named, and not changed", async () => {
    world.configure(`${entry("size = 2")}\n[zfs]\nrefquota = "1G"\n`);
    await reload();
    expect(world.log()).toMatch(/"keys":\["zfs"\],"msg":"changes of these keys require a restart of the daemon"/);
  });

  test.each([
    ["an unknown key", "sokcet = 1", "unknown key 'sokcet'"],
    ["no TOML", "= =", "not TOML"],
    ["a template's name that cannot be", '[[template]]\nname = "../x"', "cannot use the name '../x'"],
  ])("%s: the configuration from before stays, and that is said", async (_what, line, why) => {
    const before = await world.settled();
    world.configure(`[pool]\nsize = 7\n${line}`);
    await reload();
    expect(await said("not reloaded: ")).toContain(why);
    expect(world.log()).toContain("cannot reload the configuration; the current one stays in use");
    expect(await world.settled()).toEqual(before);
    expect((await world.isolate(["-z", world.template, "true"])).code).toBe(0);
    world.configure(entry("size = 2"));
    await reload();
    expect(messages.filter((message) => message.includes("not reloaded"))).toEqual([]);
  });

  test("a template that the file names no more is not leased, and its clones go", async () => {
    world.configure(`${entry("size = 2")}[[template]]\nname = "nowhere/other"\n`);
    await reload();
    const names = async () => {
      const { stdout } = await world.isolate(["pool", "--json"], { as: root });
      return (JSON.parse(stdout) as { template: string }[]).map(({ template }) => template);
    };
    expect(await names()).toContain("nowhere/other");
    world.configure(entry("size = 2"));
    await reload();
    expect(await names()).toEqual([world.template]);
    expect((await world.isolate(["-z", "nowhere/other", "true"])).stderr).toContain("cannot find the template");
  });
});

describe("on demand", () => {
  /** Stands for the socket that systemd holds: counts who comes, until the daemon is started again. */
  async function holdSocket() {
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(world.socket, resolve));
    chownSync(world.socket, 0, group);
    chmodSync(world.socket, 0o660);
    return {
      connections: () => connections,
      close: () => new Promise((resolve) => server.close(resolve)),
    };
  }

  test.each([
    ["a member", alice],
    ["root", root],
  ] as const)("a client of %s connects once, after its sandbox, and the next daemon reclaims", async (_who, as) => {
    world.configure("on_demand = true");
    await reload();
    const before = await world.settled();
    const child = await up(as);
    await world.endDaemon("SIGTERM");
    const held = await holdSocket();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(held.connections()).toBe(0);
    await finished(child, { input: "\n" });
    await eventually("the client connects", () => held.connections() > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(held.connections()).toBe(1);
    await held.close();
    await world.startDaemon();
    expect(await world.settled()).toEqual(before);
  });

  test("otherwise nobody stays behind, and nobody connects", async () => {
    world.configure("");
    await reload();
    const child = await up();
    await world.endDaemon("SIGTERM");
    const held = await holdSocket();
    await finished(child, { input: "\n" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(held.connections()).toBe(0);
    await held.close();
    await world.startDaemon();
  });
});

test("a daemon that does not answer is said to the one who waits", async () => {
  process.kill(world.daemonPid(), "SIGSTOP");
  const waiting = world.begin(["-z", world.template, "true"]);
  const end = finished(waiting);
  let heard = "";
  waiting.stderr?.on("data", (chunk: Buffer) => {
    heard += chunk;
  });
  await eventually("it is said", () => heard.includes("the daemon does not answer yet"));
  process.kill(world.daemonPid(), "SIGCONT");
  expect((await end).code).toBe(0);
});

test("a client that waits when the daemon is stopped asks for the next one, and says what it finds", async () => {
  world.configure('[[template]]\nname = "nowhere"');
  await reload();
  const waiting = world.begin(["-z", "nowhere", "true"]);
  const end = finished(waiting);
  let heard = "";
  waiting.stderr?.on("data", (chunk: Buffer) => {
    heard += chunk;
  });
  await eventually("it waits", () => heard.includes("waiting for a clone of 'nowhere'"));
  await world.endDaemon("SIGTERM");
  expect(await end).toMatchObject({ code: 125, stderr: expect.stringContaining("cannot reach the daemon") });
  world.configure("");
  await world.startDaemon();
});

test("a stop while root waits for a pool ends, and says what it is", async () => {
  world.configure("[pool]\nrefill_concurrency = 1");
  await reload();
  const patience = 300_000;
  await world.isolate(["-r", world.template, "100"], { as: root, patience });
  const complaints = await eventually("a stop came before the pool was whole", async () => {
    const waiting = Array.from({ length: 10 }, () =>
      world.isolate(["-r", world.template, "100", "-f"], { as: root, patience }),
    );
    const outcomes = Promise.all(waiting);
    let over = false;
    void outcomes.then(() => {
      over = true;
    });
    await eventually("clones are being made", async () => over || (await world.pool()).creating > 0);
    expect(await world.endDaemon("SIGTERM")).toBe(0);
    const said = (await outcomes).map(({ stderr }) => stderr).filter((text) => text !== "");
    if (said.length === 0) await world.startDaemon();
    return said.length > 0 && said;
  });
  expect(complaints).toContain("isolate: cannot go on: the daemon is stopping\n  try again when it is running\n");
  expect(await said("STOPPING=1")).toBe("STOPPING=1");
  await world.startDaemon();
  await world.isolate(["-r", world.template, "2"], { as: root, patience: 120_000 });
});
