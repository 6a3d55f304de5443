/** The daemon as a service: its messages to the service manager, a reload of its configuration, a start on demand. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { escapeUnitName } from "../../daemon/pools/unit-instance.ts";
import type { TemplateName } from "../../protocol/names.ts";
import { debianTar } from "../support/debian-root.ts";
import { eventually, finished, root, type User } from "../support/process.ts";
import { alice, createWorld, group, type World } from "../support/world.ts";

/** Binds a datagram socket, which Node cannot, and prints each message on a line. */
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

describe("messages to the service manager", () => {
  test("report that the daemon is ready, once it is", async () => {
    expect(await said("READY=1")).toMatch(/^READY=1 \| STATUS=/);
  });

  test("report the state of its pools, whenever it changes", async () => {
    await said(`STATUS=2/2 ready ${short()}`);
    const child = await up();
    await said(`ready ${short()}, 1 leased`);
    messages.length = 0;
    await finished(child, { input: "\n" });
    expect(await said("STATUS=2/2 ready")).toBe(`STATUS=2/2 ready ${short()}`);
  });

  test("report regularly that the daemon is alive", async () => {
    messages.length = 0;
    await eventually("three signs of life", () => messages.filter((line) => line === "WATCHDOG=1").length >= 3);
  });

  test("stop while the daemon is suspended", async () => {
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

test("a lease's end touches the template's signal file", async () => {
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

  test("reloads the pool sizes and the allowed users", async () => {
    world.configure(entry("size = 4"));
    await reload();
    expect(await world.settled()).toMatchObject({ size: 4, ready: 4 });
    world.configure(entry("size = 1\nusers = [1]"));
    await reload();
    expect(await world.settled()).toMatchObject({ size: 1, ready: 1 });
    expect((await world.isolate(["-z", world.template, "true"])).stderr).toContain(
      "neither user 61101 nor any of the user",
    );
    world.configure(entry("size = 2"));
    await reload();
    expect((await world.isolate(["-z", world.template, "true"])).code).toBe(0);
  });

  test("the doctor tries a run in a template that its caller may use", async () => {
    // The fullest pool is tried first.
    world.configure(entry("size = 9\nusers = [1]"));
    await reload();
    const create = ["template", "create", "open-to-all", "--tar", await debianTar()];
    expect(await world.isolate(create, { as: root, patience: 120_000 })).toMatchObject({ code: 0 });
    await world.settled();
    const { code, stdout } = await world.isolate(["doctor"], { patience: 120_000 });
    expect(stdout).toMatch(/^ok {4}run +.*open-to-all/m);
    expect(code).toBe(0);
    expect(await world.isolate(["template", "rm", "open-to-all"], { as: root, patience: 60_000 })).toMatchObject({
      code: 0,
    });
    world.configure(entry("size = 2"));
    await reload();
  });

  test("names settings that require a restart, and keeps them", async () => {
    world.configure(`${entry("size = 2")}\n[zfs]\nrefquota = "1G"\n`);
    await reload();
    expect(world.log()).toMatch(/"keys":\["zfs"\],"msg":"changes of these keys require a restart of the daemon"/);
  });

  test.each([
    ["an unknown key", "sokcet = 1", "unknown key 'sokcet'"],
    ["invalid TOML", "= =", "not TOML"],
    ["an invalid template name", '[[template]]\nname = "../x"', "cannot use the name '../x'"],
  ])("%s: keeps the previous configuration and reports it", async (_what, line, why) => {
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

  test("a template that the file no longer names is not leased, and its clones are removed", async () => {
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
  /** Acts as the socket that systemd holds: counts connections until the daemon is started again. */
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
  ] as const)(
    "a client of %s connects once after its sandbox ends, and the next daemon reclaims the clone",
    async (_who, as) => {
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
    },
  );

  test("without it no client stays behind or connects", async () => {
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

test("a waiting client reports that the daemon does not answer", async () => {
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

test("a client that waits while the daemon stops asks the next daemon and reports its answer", async () => {
  world.configure('[[template]]\nname = "nowhere"');
  await reload();
  const waiting = world.begin(["-z", "nowhere", "true"]);
  const end = finished(waiting);
  let heard = "";
  waiting.stderr?.on("data", (chunk: Buffer) => {
    heard += chunk;
  });
  await eventually("it waits", () => heard.includes("waiting for a copy of 'nowhere'"));
  await world.endDaemon("SIGTERM");
  expect(await end).toMatchObject({ code: 125, stderr: expect.stringContaining("cannot reach the daemon") });
  world.configure("");
  await world.startDaemon();
});

test("a stop while root waits for a pool ends the wait and reports the stop", async () => {
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
  // Under systemd the socket leads to the next daemon; this one was started by hand, so there is none.
  expect(complaints).toContainEqual(
    expect.stringMatching(
      /^isolate: the daemon is being restarted: waiting for it\nisolate: cannot reach the daemon at .*: there is no such socket\n {2}start it: /,
    ),
  );
  expect(await said("STOPPING=1")).toBe("STOPPING=1");
  await world.startDaemon();
  await world.isolate(["-r", world.template, "2"], { as: root, patience: 120_000 });
});
