/** Operations: listing and killing for members and root, the log, the metrics and the doctor. */
import type { ChildProcess } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import type { Lease, LogEntry, Pool } from "../../protocol/schema.ts";
import { eventually, finished, type Outcome, root, run, start, type User } from "../support/process.ts";
import { program } from "../support/project.ts";
import { exchange, httpRequest } from "../support/raw.ts";
import { alice, bob, createWorld, mallory, type World } from "../support/world.ts";

let world: World;
const begun: ChildProcess[] = [];

beforeAll(async () => {
  world = await createWorld({ size: 3 });
}, 1_200_000);
afterEach(async () => {
  for (const child of begun.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
  await world.settled();
});
afterAll(() => world.close(), 300_000);

/** A sandbox whose command is up. */
async function up(as: User, command = "exec sleep 1000"): Promise<ChildProcess> {
  const child = world.begin(["-z", world.template, "sh", "-c", `echo up; ${command}`], { as });
  begun.push(child);
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  return child;
}

const ps = async (as: User): Promise<Lease[]> => JSON.parse((await world.isolate(["ps", "--json"], { as })).stdout);
const only = async (as: User): Promise<Lease> => {
  const [lease, ...more] = await ps(as);
  if (!lease || more.length > 0) throw new Error(`not one lease but ${more.length + 1}`);
  return lease;
};
const log = async (as: User, ...args: string[]): Promise<LogEntry[]> =>
  JSON.parse((await world.isolate(["log", "--json", ...args], { as })).stdout);
const kill = (lease: string, as: User) => world.isolate(["kill", lease], { as, patience: 120_000 });
const ended = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

describe("isolate ps", () => {
  test("shows members their own sandboxes, and root all of them, with age and bytes", async () => {
    const first = await up(alice, "head -c 3000000 /dev/urandom > /x; sync; exec sleep 1000");
    await up(bob);
    expect(await only(alice)).toMatchObject({ kind: "run", uid: alice.uid, pid: first.pid, template: world.template });
    expect((await ps(root)).map(({ uid }) => uid).sort()).toEqual([alice.uid, bob.uid]);
    const counted = await eventually("what was written is counted", async () => {
      const lease = await only(alice);
      return (lease.written ?? 0) >= 3_000_000 ? lease : null;
    });
    expect(Math.abs(Date.parse(counted.countedAt ?? "") - Date.now())).toBeLessThan(300_000);
    expect((await only(bob)).written).toBeLessThan(1_000_000);
    const { stdout } = await world.isolate(["ps"], { as: alice });
    expect(stdout).toMatch(/^LEASE +KIND +TEMPLATE +USER +PID +AGE +WRITTEN +COMMAND\n/);
    expect(stdout).toMatch(/ (\d+m )?\d+s +\d\.\d MiB/);
    expect(stdout.split("\n")).toHaveLength(3);
  });

  test("shows an edit only to root", async () => {
    const child = world.begin(["template", "edit", world.template, "sleep", "1000"], { as: root });
    begun.push(child);
    await eventually("it is listed", async () => (await ps(root)).length === 1);
    const [edit] = await ps(root);
    expect(edit).toMatchObject({ kind: "edit", lease: world.template, snapshot: null, written: null, pid: child.pid });
    expect(edit?.command).toBe("sleep 1000");
    expect(await ps(alice)).toEqual([]);
    expect((await kill(world.template, alice)).stderr).toMatch(/no running sandbox has that name/);
    expect(await ps(root)).toHaveLength(1);
    expect(await kill(world.template, root)).toMatchObject({ code: 0 });
    expect(await ps(root)).toEqual([]);
    await eventually("it has ended", () => ended(child));
    expect((await log(root, "--limit", "1"))[0]).toMatchObject({ kind: "edit", end: "killed", by: "root" });
  });
});

test("isolate pool shows the bytes of the template and its clones", async () => {
  const child = await up(alice, "head -c 3000000 /dev/urandom > /x; sync; exec sleep 1000");
  const pool = await eventually("both are counted", async () => {
    const pools = JSON.parse((await world.isolate(["pool", "--json"], { as: bob })).stdout) as Pool[];
    const [found] = pools.filter(({ template }) => template === world.template);
    return found?.bytes && (found.written ?? 0) >= 3_000_000 ? found : null;
  });
  // On a zpool the template is a clone itself, with little data of its own.
  expect(pool.bytes).toBeGreaterThan(process.env.ISOLATE_TEST_ZPOOL ? 0 : 20_000_000);
  child.kill("SIGKILL");
});

describe("isolate kill", () => {
  test("ends the caller's sandbox by a prefix of its name, and returns when it and its clone are gone", async () => {
    const child = await up(alice);
    const { lease } = await only(alice);
    const killed = await kill(lease.slice(0, -3), alice);
    expect(killed).toMatchObject({ code: 0, stdout: "", stderr: `isolate: ended ${lease}\n` });
    expect(await world.pool()).toMatchObject({ leased: 0, retired: 0 });
    await eventually("the client has ended", () => ended(child));
    expect((await log(alice, "--limit", "1"))[0]).toMatchObject({ lease, end: "killed", by: String(alice.uid) });
  });

  test("neither reveals nor ends others' leases for a member", async () => {
    const child = await up(alice);
    const { lease } = await only(alice);
    const none = lease.replace(/.$/, (digit) => String((Number(digit) + 1) % 10));
    const said = async (name: string) => (await kill(name, bob)).stderr.replace(name, "NAME");
    expect(await said(lease)).toBe(await said(none));
    expect(await said(lease)).toMatch(/^isolate: cannot find the sandbox 'NAME': no running sandbox has that name\n/);
    // Nor through a prefix that would be ambiguous if both leases counted.
    await up(bob);
    const own = (await only(bob)).lease;
    let shared = 0;
    while (own[shared] === lease[shared]) shared++;
    expect((await kill(own.slice(0, shared), bob)).stderr).toBe(`isolate: ended ${own}\n`);
    expect(ended(child)).toBe(false);
    expect(await only(alice)).toMatchObject({ lease });
    expect((await kill(lease, root)).code).toBe(0);
  });

  test("refuses an ambiguous name and an empty one", async () => {
    await up(alice);
    await up(alice);
    const names = (await ps(alice)).map(({ lease }) => lease);
    const base = names[0]?.slice(0, names[0].indexOf("_") + 1) ?? "";
    const several = await kill(base, alice);
    expect(several).toMatchObject({ code: 125 });
    for (const name of names) expect(several.stderr).toContain(name);
    expect((await kill("", alice)).stderr).toMatch(/no running sandbox has that name/);
    expect((await world.isolate(["kill"], { as: alice })).stderr).toMatch(/'kill' needs LEASE/);
    expect(await ps(alice)).toHaveLength(2);
    for (const name of names) expect((await kill(name, alice)).code).toBe(0);
  });

  test("names the host process that still uses the clone, which goes when the process ends", async () => {
    await up(alice);
    const { lease } = await only(alice);
    const view = readdirSync(join(world.runtime, "users", String(alice.uid))).find((name) => name === lease);
    const place = join(world.runtime, "users", String(alice.uid), view ?? "");
    const user = start(["sh", "-c", 'cd "$0" && echo in && exec sleep 1000', place], { as: alice });
    try {
      await new Promise((resolve) => user.stdout?.once("data", resolve));
      const held = await kill(lease, alice);
      expect(held.code).toBe(125);
      expect(held.stderr).toContain(`cannot remove the files of the ended sandbox '${lease}': process ${user.pid} (`);
      expect(await world.pool()).toMatchObject({ leased: 0, retired: 1 });
    } finally {
      user.kill("SIGKILL");
      await finished(user);
    }
    await world.settled();
  });

  test("ends a lease that an earlier daemon granted", async () => {
    const child = await up(alice);
    const { lease } = await only(alice);
    await world.endDaemon("SIGKILL");
    await world.startDaemon();
    expect((await kill(lease, bob)).stderr).toMatch(/no running sandbox has that name/);
    expect((await kill(lease, alice)).code).toBe(0);
    await eventually("the client has ended", () => ended(child));
    expect(await log(alice, "--end", "killed", "--limit", "1")).toMatchObject([{ lease, by: String(alice.uid) }]);
  });
});

describe("isolate log", () => {
  test("records the user, template, time and end of a run, and only the program of its command", async () => {
    const before = new Date().toISOString();
    await world.isolate(["-z", world.template, "sh", "-c", "exit 3 # password=hunter2"]);
    const [entry] = await log(alice, "--limit", "1");
    expect(entry).toMatchObject({ kind: "run", template: world.template, uid: alice.uid, command: "sh", end: "ended" });
    expect((entry?.since ?? "") >= before && (entry?.until ?? "") >= (entry?.since ?? "")).toBe(true);
    const files = readdirSync(world.state).filter((name) => name.startsWith("leases.db"));
    expect(files).toContain("leases.db");
    for (const name of files) expect(readFileSync(join(world.state, name)).includes("hunter2")).toBe(false);
  });

  test("shows members only their own entries, whatever they request", async () => {
    await world.isolate(["-z", world.template, "true"], { as: bob });
    await world.isolate(["-z", world.template, "true"], { as: alice });
    expect(new Set((await log(alice)).map(({ uid }) => uid))).toEqual(new Set([alice.uid]));
    expect((await log(alice, "--user", String(alice.uid))).length).toBeGreaterThan(0);
    for (const user of [String(bob.uid), "root", "0"]) {
      const refused = await world.isolate(["log", "--user", user], { as: alice });
      expect(refused).toMatchObject({ code: 125, stdout: "" });
      expect(refused.stderr).toMatch(/cannot read the log of other users' runs: only root may/);
    }
    expect(new Set((await log(root)).map(({ uid }) => uid)).size).toBeGreaterThan(1);
    expect(new Set((await log(root, "--user", String(bob.uid))).map(({ uid }) => uid))).toEqual(new Set([bob.uid]));
    expect(await log(root, "--template", "other")).toEqual([]);
    expect((await world.isolate(["log", "--user", "no-such-user"], { as: root })).stderr).toMatch(
      /cannot find the user/,
    );
    expect(await world.isolate(["log"], { as: mallory })).toMatchObject({ code: 125, stdout: "" });
  });

  test("cannot control the reader's terminal", async () => {
    await world.isolate(["-z", world.template, "\x1b]0;mine\x07\x9b31m\u202e"]);
    for (const args of [
      ["log", "--limit", "1"],
      ["log", "--limit", "1", "--json"],
    ]) {
      const { stdout } = await world.isolate(args, { as: root });
      expect(stdout).toContain("mine");
      expect(/[^\P{Cc}\n]|\p{Cf}/u.exec(stdout)).toBeNull();
    }
  });

  test("shows a run that ended without a daemon as lost, and one that continued as running", async () => {
    const [gone, on] = [await up(alice), await up(bob)];
    const lease = await only(alice);
    await log(root); // written
    await world.endDaemon("SIGKILL");
    gone.kill("SIGKILL");
    await finished(gone);
    await world.startDaemon();
    const [entry] = await eventually("it is settled", async () => {
      const found = await log(alice, "--end", "lost");
      return found.length > 0 ? found : null;
    });
    expect(entry).toMatchObject({ lease: lease.lease, end: "lost", by: null });
    expect(await log(bob, "--end", "running")).toHaveLength(1);
    on.kill("SIGKILL");
    await finished(on);
    await world.settled();
    expect((await log(bob, "--limit", "1"))[0]).toMatchObject({ end: "ended" });
  });
});

test("a log that cannot be written prevents no lease", async () => {
  const broken = await createWorld({ size: 1, template: false });
  try {
    await broken.endDaemon("SIGTERM");
    for (const name of readdirSync(broken.state))
      if (name.startsWith("leases.db")) await run(["rm", join(broken.state, name)]);
    mkdirSync(join(broken.state, "leases.db"));
    await broken.startDaemon();
    expect(broken.log()).toMatch(/cannot write the lease log/);
    expect(await broken.isolate(["log"], { as: root })).toMatchObject({ code: 0 });
    await run(["rmdir", join(broken.state, "leases.db")]);
    expect(await broken.isolate(["log", "--json"], { as: root })).toMatchObject({
      code: 0,
      stdout: "[]\n",
      stderr: "",
    });
  } finally {
    await broken.close();
  }
}, 1_200_000);

describe("GET /v1/metrics", () => {
  function get(path: string): Promise<{ status: number; type: string; text: string }> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: world.socket, path }, (answer) => {
        let text = "";
        answer.on("data", (chunk: Buffer) => {
          text += chunk;
        });
        answer.on("end", () =>
          resolve({ status: answer.statusCode ?? 0, type: answer.headers["content-type"] ?? "", text }),
        );
      });
      asked.on("error", reject);
      asked.end();
    });
  }
  const reading = (text: string, series: string): number | undefined => {
    const line = text.split("\n").find((one) => one.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  };

  test("counts leases and shows the pools, in the Prometheus format", async () => {
    const before = (await get("/v1/metrics")).text;
    await world.isolate(["-z", world.template, "true"]);
    await world.isolate(["-z", "no-such-template", "true"]);
    await world.settled();
    const { status, type, text } = await get("/v1/metrics");
    expect([status, type]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
    const grew = (series: string) => (reading(text, series) ?? 0) - (reading(before, series) ?? 0);
    expect(grew('isolate_lease_requests_total{result="granted"}')).toBe(1);
    expect(grew('isolate_lease_requests_total{result="unknown-template"}')).toBe(1);
    expect(grew('isolate_leases_ended_total{end="ended"}')).toBe(1);
    for (const name of ["lease_grant", "lease_wait", "lease_held"]) {
      expect(grew(`isolate_${name}_duration_seconds_count`)).toBe(1);
    }
    expect(reading(text, `isolate_clones{template="${world.template}",state="ready"}`)).toBe(3);
    expect(reading(text, `isolate_pool_size{template="${world.template}"}`)).toBe(3);
    for (const line of text.split("\n")) {
      expect(line).toMatch(
        /^(|# (HELP|TYPE) isolate_.*|isolate_[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+)$/,
      );
    }
  });

  test("names no user, and only members can read it", async () => {
    await up(alice);
    const { text } = await get("/v1/metrics");
    for (const secret of [String(alice.uid), "uid", "user", "sleep"]) {
      for (const line of text.split("\n")) if (!line.startsWith("#")) expect(line.includes(`"${secret}`)).toBe(false);
    }
    const ask = httpRequest("GET /v1/metrics");
    expect(await exchange(world.socket, bob, ask)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await exchange(world.socket, mallory, ask)).not.toContain("isolate_");
  });
});

describe("isolate doctor", () => {
  interface Report {
    readonly ok: boolean;
    readonly checks: readonly { name: string; state: string; message: string; fix?: string }[];
  }
  const report = ({ stdout }: Outcome): Report => JSON.parse(stdout) as Report;
  const failing = (outcome: Outcome) => report(outcome).checks.filter(({ state }) => state === "fail");
  const doctor = (as: User) => world.isolate(["doctor", "--json"], { as, patience: 120_000 });

  test("exits with 0 if a run works, for a member and for root, and leaves no clone behind", async () => {
    for (const as of [alice, root]) {
      const outcome = await doctor(as);
      expect({ code: outcome.code, stderr: outcome.stderr, failing: failing(outcome) }).toEqual({
        code: 0,
        stderr: "",
        failing: [],
      });
      const run_ = report(outcome).checks.find(({ name }) => name === "run");
      expect(run_).toMatchObject({ state: "ok", message: expect.stringContaining(world.template) });
    }
    const { stdout } = await world.isolate(["doctor"], { as: alice, patience: 120_000 });
    expect(stdout).toMatch(/^ok {4}daemon +version /m);
    await world.settled();
  });

  test("tells a user outside the group how to join", async () => {
    const outcome = await doctor(mallory);
    expect(outcome.code).toBe(1);
    expect(report(outcome).ok).toBe(false);
    expect(failing(outcome).map(({ name }) => name)).toEqual(["group", "daemon"]);
    expect(failing(outcome)[0]?.fix).toMatch(/^sudo usermod -aG \S+ 61103$/);
  });

  test("works without a daemon, and reports how to start one", async () => {
    await world.endDaemon("SIGTERM");
    try {
      const outcome = await doctor(root);
      expect(outcome.code).toBe(1);
      expect(failing(outcome).map(({ name }) => name)).toContain("daemon");
      expect(report(outcome).checks.find(({ name }) => name === "run")).toMatchObject({ state: "unchecked" });
      const text = await world.isolate(["doctor"], { as: root, patience: 120_000 });
      expect(text.stdout).toMatch(/^FAIL {2}daemon +cannot reach the daemon/m);
      expect(text.stderr).toMatch(/^isolate: a run would fail here/);
    } finally {
      await world.startDaemon();
    }
  });

  test("fails if a template has no snapshot", async () => {
    const bare = await createWorld({ template: false });
    try {
      const outcome = await run([program("isolate"), "--socket", bare.socket, "doctor", "--json"], { as: alice });
      expect(outcome.code).toBe(1);
      expect(failing(outcome)).toEqual([
        {
          name: "templates",
          state: "fail",
          message: "there is no template; create one",
          fix: "sudo isolate template create debian --debian trixie",
        },
      ]);
    } finally {
      await bare.close();
    }
  }, 1_200_000);
});
