/** One member floods the daemon: how much of it the daemon executes, and that it still serves others and root. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import Database from "better-sqlite3";
import type { Log, LogEntry } from "../../protocol/schema.ts";
import { attacks, startAttack } from "../support/attacks.ts";
import { eventually, finished, root, run, start, type User } from "../support/process.ts";
import { httpRequest, leaseRequest, openRaw, type Raw } from "../support/raw.ts";
import { alice, bob, createWorld, group, type World } from "../support/world.ts";

const limit = 6;
const descriptors = 400;
let world: World;
beforeAll(async () => {
  const config = `[limits]\nleases_per_user = ${limit}`;
  world = await createWorld({ size: 3, config, daemonDescriptors: descriptors });
}, 1_200_000);
afterAll(() => world.close(), 300_000);

const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
  await world.settled();
});

function raw(as: User, ...connections: string[][]): Raw {
  const opened = openRaw(world.socket, as, connections);
  open.push(opened.close);
  return opened;
}

const python = (lines: readonly string[]) => ["python3", "-c", lines.join("\n")];
const answers = (text: string): string[] => text.match(/HTTP\/1\.1 \d{3}/g) ?? [];
const kept = (names: readonly string[]) => httpRequest(`DELETE /v1/leases?lease=${names.join("")}`, []);
const leaseNames = async (): Promise<string[]> => (await world.leases()).map(({ lease }) => lease);
const daemonDescriptors = async (): Promise<number> =>
  Number((await run(["sh", "-c", `ls /proc/${world.daemonPid()}/fd | wc -l`])).stdout);
async function served(): Promise<void> {
  expect(await world.isolate(["-z", world.template, "true"], { as: alice })).toMatchObject({ code: 0, stderr: "" });
  expect(await world.isolate(["pool"], { as: root })).toMatchObject({ code: 0, stderr: "" });
}

describe("requests sent together on one connection", () => {
  /** A lease whose clone cannot be freed because a host process is in its view. */
  async function stuckLease(): Promise<{ lease: string; end(): Promise<void> }> {
    const held = raw(bob, [leaseRequest(world.template)]);
    await held.until("it is granted", ({ text }) => text.includes('"view"'));
    const text = held.states[0]?.text ?? "";
    const { lease, view } = JSON.parse(text.slice(text.indexOf("{"))) as { lease: string; view: string };
    const squatter = start(["sh", "-c", 'cd "$0" && echo in && exec sleep 1000', view], { as: bob });
    const ended = finished(squatter, { patience: 600_000 });
    await new Promise((resolve) => squatter.stdout?.once("data", resolve));
    const end = async (): Promise<void> => {
      squatter.kill("SIGKILL");
      await ended;
    };
    open.push(end);
    return { lease, end };
  }

  test("are executed one at a time, and no more of them once the peer has left", async () => {
    const stuck = await stuckLease();
    const other = raw(bob, [leaseRequest(world.template)]);
    await other.until("it is granted", ({ text }) => text.includes('"view"'));
    const [next = ""] = (await leaseNames()).filter((name) => name !== stuck.lease);
    const kills = raw(bob, [kept([stuck.lease]) + kept([next])]);
    await eventually("the first is ended", async () => !(await leaseNames()).includes(stuck.lease));
    expect(await leaseNames()).toEqual([next]);
    expect(kills.states[0]?.text).toBe("");
    await kills.close();
    await stuck.end();
    await eventually("its clone is gone", async () => (await world.pool()).retired === 0);
    await served();
    expect(await leaseNames()).toEqual([next]);
  });

  test("are not executed if the peer has left while they waited for their turn", async () => {
    const stuck = await stuckLease();
    const other = raw(bob, [leaseRequest(world.template)]);
    await other.until("it is granted", ({ text }) => text.includes('"view"'));
    const [next = ""] = (await leaseNames()).filter((name) => name !== stuck.lease);
    // As many as the daemon executes at a time for one account; each waits for the clone.
    const slow = raw(bob, ...Array.from({ length: 16 }, () => [kept([stuck.lease])]));
    await eventually("they are executed", async () => !(await leaseNames()).includes(stuck.lease));
    // With more behind it than the daemon reads, so that the end of the connection stays out of sight.
    const late = raw(bob, [kept([next]) + httpRequest("GET /v1/pools", []).repeat(20_000)]);
    // Nothing shows that it waits for its turn.
    await sleep(1000);
    expect(late.states[0]?.text).toBe("");
    await late.close();
    await stuck.end();
    await slow.until("each is answered", ({ text }) => answers(text).length === 1);
    // A kill takes less.
    await sleep(2000);
    await served();
    expect(await leaseNames()).toEqual([next]);
  });

  test("are all answered in order, a hundred of them", async () => {
    const asked = ["pools", "leases", "log?limit=1", "none"].map((path) => httpRequest(`GET /v1/${path}`, []));
    const opened = raw(bob, [Array.from({ length: 25 }, () => asked.join("")).join("")]);
    const [state] = await opened.until("all are answered", ({ text }) => answers(text).length >= 100);
    const codes = answers(state?.text ?? "").map((line) => line.slice(-3));
    expect(codes).toEqual(Array.from({ length: 25 }, () => ["200", "200", "200", "400"]).flat());
  });

  test("neither a missing Host nor an unknown Expect makes later requests of the account wait", async () => {
    for (const odd of ["GET /v1/pools HTTP/1.1\r\n\r\n", httpRequest("GET /v1/pools", ["Expect: miracles"])]) {
      const opened = raw(bob, ...Array.from({ length: 40 }, () => [odd + httpRequest("GET /v1/pools", [])]));
      await opened.until("each has an answer", ({ text }) => answers(text).length >= 1);
      await opened.close();
    }
    expect(await world.isolate(["pool"], { as: bob, patience: 30_000 })).toMatchObject({ code: 0, stderr: "" });
    expect(await world.isolate(["-z", world.template, "true"], { as: bob })).toMatchObject({ code: 0, stderr: "" });
  });

  test("a lease that announces a body is refused, and the daemon goes on", async () => {
    const withBody = leaseRequest(world.template).replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n");
    const opened = raw(bob, [`${withBody}x`]);
    await opened.until("it is over", ({ text, ended }) => ended !== undefined || answers(text).length > 0);
    expect(opened.states[0]?.text ?? "").not.toContain('"view"');
    await served();
  });

  test("the same kill on many connections is done once", async () => {
    const { lease, end } = await stuckLease();
    const kills = raw(bob, ...Array.from({ length: 10 }, () => [kept([lease])]));
    await kills.until("each is answered", ({ text }) => answers(text).length === 1);
    const texts = new Set(kills.states.map(({ text }) => text.slice(text.indexOf("{"))));
    expect([...texts]).toEqual([expect.stringMatching(/"code":"lease-held".*process [0-9]+ \(sleep\)/)]);
    await end();
  });
});

describe("the log", () => {
  const entries = 3000;
  beforeAll(() => {
    const database = new Database(join(world.state, "leases.db"));
    const put = database.prepare(
      `INSERT INTO entries (lease, kind, template, snapshot, uid, command, since, until, how)
       VALUES (?, 'run', ?, 'x', ?, ?, ?, ?, 'ended')`,
    );
    database.transaction(() => {
      for (let count = 0; count < entries; count++) {
        // Many from one moment, and one from a rare template.
        const template = count === entries - 1 ? "rare" : "usual";
        put.run(`old_${count}`, template, bob.uid, "x".repeat(400), 1_000_000 - (count >> 3), 2_000_000);
      }
    })();
    database.close();
  });

  test("arrives completely, in parts of a bounded size", async () => {
    const read = async (...args: string[]): Promise<LogEntry[]> =>
      JSON.parse((await world.isolate(["log", "--json", "--until", "1970-02-01", ...args], { as: bob })).stdout);
    const names = (await read("--limit", "10000")).map(({ lease }) => lease);
    expect(new Set(names).size).toBe(entries);
    expect(names.sort()).toEqual(Array.from({ length: entries }, (_, count) => `old_${count}`).sort());
    expect(await read("--limit", "700")).toHaveLength(700);
    expect(await read("--template", "rare")).toMatchObject([{ lease: `old_${entries - 1}` }]);
    expect(await read("--template", "none")).toEqual([]);

    const opened = raw(bob, [httpRequest("GET /v1/log?limit=10000")]);
    const [state] = await opened.until("the answer ends", ({ ended }) => ended !== undefined);
    const { entries: part, next } = JSON.parse(state?.text.split("\r\n\r\n")[1] ?? "") as Log;
    expect(part.length).toBeGreaterThan(10);
    expect(part.length).toBeLessThanOrEqual(250);
    expect(next).toMatch(/^[0-9]+\.[0-9]+$/);
    expect(state?.text.length).toBeLessThan(256 * 1024);
  });

  test("takes no memory if requested 1,400 times on each connection and never read", async () => {
    const attack = attacks.find(({ name }) => name.includes("nothing read"));
    if (!attack) throw new Error("there is no such attack");
    const memory = (): number =>
      Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${world.daemonPid()}/status`, "utf8"))?.[1]);
    const before = memory();
    const running = await startAttack(attack, { socket: world.socket, template: world.template, group }, bob);
    try {
      for (let count = 0; count < 10; count++) await served();
      expect(memory() - before).toBeLessThan(50 * 1024);
    } finally {
      await running.end();
    }
  });
});

describe("connections", () => {
  const hoard = (count: number): string[] =>
    python([
      "import select,socket,time",
      "s=[]",
      `for i in range(${count}):`,
      `  c=socket.socket(socket.AF_UNIX); c.connect('${world.socket}'); s.append(c)`,
      "time.sleep(1)",
      "answered=select.select(s,[],[],0)[0]",
      "texts=[c.recv(9999).decode().replace('\\r\\n',' ') for c in answered]",
      "print(len(s)-len(answered),next((t for t in texts if t),''),flush=True)",
      "time.sleep(600)",
    ]);
  /** Opens `count` connections until the test ends. Returns how many stay open, and the answer to the others. */
  async function hoarded(count: number, as: User): Promise<string> {
    const child = start(hoard(count), { as });
    const ended = finished(child, { patience: 600_000 });
    open.push(() => {
      child.kill("SIGKILL");
      return ended;
    });
    return new Promise((resolve) => child.stdout?.once("data", (data: Buffer) => resolve(data.toString())));
  }

  test("of one member leave enough for others, and root's are not counted", async () => {
    const said = await hoarded(200, bob);
    expect(Number(said.split(" ")[0])).toBe(descriptors / 4 / 2);
    expect(said).toMatch(/HTTP\/1\.1 429 .*"code":"too-many-connections"/);
    await served();
    expect(Number((await hoarded(200, alice)).split(" ")[0])).toBe(descriptors / 4 / 4);
    expect(Number((await hoarded(20, root)).split(" ")[0])).toBe(20);
    expect(await world.isolate(["pool"], { as: root })).toMatchObject({ code: 0, stderr: "" });
  });

  test("from subordinate ids are refused when they open, before any request", async () => {
    for (let count = 0; count < 4; count++) {
      const id = 200_000 + count;
      const said = await hoarded(60, { uid: id, gid: id, groups: [group] });
      expect(said).toMatch(/^0 HTTP\/1\.1 403 .*"code":"subordinate-id"/);
    }
    expect(await daemonDescriptors()).toBeLessThan(130);
    await served();
  });
});

describe("a request that is refused before its body has arrived", () => {
  /** Sends the head and then a body; prints how much was sent, and the answer. */
  const push = (head: string, body: number) =>
    python([
      "import socket,sys",
      `c=socket.socket(socket.AF_UNIX); c.connect('${world.socket}')`,
      `c.sendall(${JSON.stringify(head)}.encode())`,
      "sent=0",
      "try:",
      `  while sent<${body}: sent+=c.send(b'x'*65536)`,
      "except OSError: pass",
      "text=b''",
      "try:",
      "  while True:",
      "    more=c.recv(65536)",
      "    if not more: break",
      "    text+=more",
      "except OSError: pass",
      "print(sent,text.decode().replace('\\r\\n',' '))",
    ]);
  const length = 1 << 30;
  const head = (line: string, type: string): string =>
    httpRequest(line, [`Content-Type: ${type}`, `Content-Length: ${length}`]);

  test.each([
    ["an upload", "POST /v1/templates?template=x", "application/x-tar", bob, /403 .*"not-root"/],
    ["a change of a pool", "PUT /v1/pools", "application/json", bob, /403 .*"not-root"/],
    ["a listing with a body", "GET /v1/pools", "text/plain", bob, /400 .*"bad-request"/],
    ["a kill with a body", "DELETE /v1/leases?lease=x", "text/plain", bob, /400 .*"bad-request"/],
    ["an unknown path", "POST /v1/none", "text/plain", bob, /400 .*"bad-request"/],
    ["root's upload of another type", "POST /v1/templates?template=x", "text/plain", root, /400 .*"bad-request"/],
    ["root's change of a pool, too large", "PUT /v1/pools", "application/json", root, /400 .*"bad-request"/],
    ["root's snapshot with a body", "POST /v1/snapshots?template=x", "text/plain", root, /400 .*"bad-request"/],
  ] as const)("%s: the answer arrives, and little of the body is read", async (_what, line, type, as, expected) => {
    const { stdout } = await run(push(head(line, type), length), { as });
    const [sent, ...answer] = stdout.split(" ");
    expect(answer.join(" ")).toMatch(expected);
    expect(Number(sent)).toBeLessThan(2 << 20);
    await served();
  });

  test("curl reports the answer, not a broken connection, each time", async () => {
    const upload = "head -c 300000 /dev/zero | curl -s -o /dev/null -w '%{http_code} %{exitcode}\\n' -H Expect: -T -";
    const line = `${upload} -X POST --unix-socket ${world.socket} 'http://isolate/v1/templates?template=x'`;
    const { stdout } = await run(["sh", "-c", `for i in $(seq 30); do ${line}; done`], { as: bob, patience: 60_000 });
    expect(new Set(stdout.trim().split("\n"))).toEqual(new Set(["403 0"]));
  });

  test("the answer arrives if tar rejects an archive during the upload", async () => {
    // A header that declares a file name of 8 GB, which is too long.
    const broken = `${"x".repeat(512)}${"\0".repeat(1024)}`;
    const outcome = await run(
      push(
        `${httpRequest("POST /v1/templates?template=x", ["Content-Type: application/x-tar", `Content-Length: ${8 << 20}`])}${broken}`,
        7 << 20,
      ),
      { as: root },
    );
    expect(outcome.stdout).toMatch(/400 .*"bad-tar"/);
    await served();
  });
});

test.each(attacks.map((attack) => [attack.name, attack] as const))(
  "%s: another member and root are still served",
  async (_name, attack) => {
    const running = await startAttack(attack, { socket: world.socket, template: world.template, group }, bob);
    try {
      for (let count = 0; count < 5; count++) await served();
      expect(await daemonDescriptors()).toBeLessThan(descriptors);
    } finally {
      await running.end();
    }
  },
);
