/** Attacks by a hostile member of the group, or a hostile sandbox; all of them fail. */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { asUser, eventually, finished, must, root, run, start, type User } from "../support/process.ts";
import { program, projectRoot } from "../support/project.ts";
import { exchange, httpRequest, leaseRequest, openRaw, type Raw, upgrade } from "../support/raw.ts";
import { alice, bob, createWorld, group, mallory, type World } from "../support/world.ts";

const limit = 4;
let world: World;
let scratch: string;
let trySyscall: string;

beforeAll(async () => {
  world = await createWorld({ size: 3, config: `[limits]\nleases_per_user = ${limit}` });
  scratch = world.scratch();
  trySyscall = join(scratch, "try-syscall");
  copyFileSync(join(projectRoot, "dist/test/try-syscall"), trySyscall);
  chmodSync(trySyscall, 0o755);
}, 1_200_000);
afterAll(() => world.close(), 300_000);

const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
  await world.settled();
});

interface Sandbox {
  readonly child: ChildProcess;
  readonly lease: string;
  readonly view: string;
  /** On the host. */
  readonly pids: number[];
  end(): Promise<unknown>;
}

/** A sandbox that has run `command` and waits for the end of its input. */
async function sandbox(as: User, command = "true", args: readonly string[] = []): Promise<Sandbox> {
  const child = world.begin(["-z", world.template, ...args, "sh", "-ec", `${command}\necho up; read line || true`], {
    as,
  });
  let said = "";
  child.stdout?.on("data", (data: Buffer) => {
    said += data;
  });
  child.stderr?.on("data", (data: Buffer) => {
    said += data;
  });
  await eventually("the sandbox is up", () => {
    if (child.exitCode !== null) throw new Error(`the sandbox ended: ${said}`);
    return /^up$/m.test(said);
  });
  const found = (await world.leases()).find(({ pid }) => pid === child.pid);
  if (!found) throw new Error("the sandbox has no lease");
  const owner = as.uid === 0 ? readFileSync(`/proc/${child.pid}/status`, "utf8").match(/^Uid:\s+(\d+)/m)?.[1] : as.uid;
  const end = async () => {
    if (child.exitCode === null && child.signalCode === null) await finished(child);
  };
  open.push(end);
  return {
    child,
    lease: found.lease,
    view: join(world.runtime, "users", String(owner), found.lease),
    pids: await tree(child.pid ?? 0),
    end,
  };
}

/** Host pids of a process and all its descendants. */
async function tree(pid: number): Promise<number[]> {
  const { stdout } = await run(["ps", "-o", "pid=", "--ppid", String(pid)]);
  const children = stdout.trim().split(/\s+/).filter(Boolean).map(Number);
  return [pid, ...(await Promise.all(children.map(tree))).flat()];
}

function raw(as: User, connections: readonly (readonly string[])[]): Raw {
  const opened = openRaw(world.socket, as, connections);
  open.push(opened.close);
  return opened;
}

const ask = (as: User, ...chunks: string[]): Promise<string> => exchange(world.socket, as, ...chunks);
const status = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
const inside = (command: string, options = {}) =>
  world.isolate(["-z", world.template, "-d", `${trySyscall}:/usr/bin/try-syscall:ro`, "sh", "-c", command], options);
const attack = (as: User, ...call: string[]) => run([trySyscall, ...call], { as });

describe("another user's clone", () => {
  let hers: Sandbox;
  const secret = "/root/secret";
  const put = async (): Promise<void> => {
    hers = await sandbox(alice, `echo hers > ${secret}; chmod 777 /root; chmod 666 ${secret}`);
    // Shows that the guard refuses, and not a wrong path: the owner can read it there.
    expect((await run(["cat", `${hers.view}${secret}`], { as: alice })).stdout).toBe("hers\n");
  };

  test.each([
    ["a member", bob],
    ["a stranger", mallory],
  ])("cannot be listed or read by %s, by any path of the host", async (_who, as) => {
    await put();
    const users = join(world.runtime, "users");
    const mountPoints = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "");
    const own = mountPoints.filter((path) => path.startsWith(world.directory) && path !== users);
    expect(own).toContain(hers.view);
    const processes = hers.pids.flatMap((pid) => [
      `/proc/${pid}/root`,
      `/proc/${pid}/cwd`,
      `/proc/${pid}/fd`,
      `/proc/${pid}/map_files`,
    ]);
    const places = [
      users,
      join(users, String(alice.uid)),
      world.state,
      join(world.state, "overlay"),
      ...own,
      ...processes,
    ];
    for (const place of places) {
      expect({ place, ...(await run(["ls", "--", place], { as })) }).toMatchObject({
        stdout: "",
        code: 2,
        stderr: expect.stringMatching(/Permission denied|Not a directory|No such file/),
      });
      expect({
        place,
        ...(await run(["sh", "-c", 'cat "$0/$1" || echo x > "$0/$1"', place, secret], { as })),
      }).toMatchObject({ stdout: "", code: 2 });
    }
    const everywhere = await run(["find", world.directory, "-name", "secret"], { as });
    expect(everywhere.stdout).toBe("");
    expect(readFileSync(`${hers.view}${secret}`, "utf8")).toBe("hers\n");
  });

  test("cannot be entered through its user namespace, found or received", async () => {
    await put();
    const file = join(world.runtime, "users", String(alice.uid), `userns.${alice.gid}`);
    expect(existsSync(file)).toBe(true);
    for (const as of [bob, mallory]) {
      for (const path of [file, ...hers.pids.map((pid) => `/proc/${pid}/ns/user`)]) {
        expect({ path, ...(await attack(as, "setns", path)) }).toMatchObject({ stdout: "EACCES\n" });
        expect((await run(["nsenter", `--user=${path}`, "true"], { as })).code).not.toBe(0);
      }
      // Even a descriptor passed by someone who could open it is refused to all except its owner.
      const fd = openSync(file, "r");
      try {
        const argv = asUser(as, ["bwrap", "--userns", "3", "--ro-bind", "/", "/", "true"]);
        const child = spawn(argv[0] ?? "", argv.slice(1), {
          stdio: ["pipe", "pipe", "pipe", fd],
          env: { PATH: "/usr/bin:/bin" },
        });
        expect(await finished(child)).toMatchObject({
          code: 1,
          stderr: expect.stringContaining("Operation not permitted"),
        });
      } finally {
        closeSync(fd);
      }
    }
    expect((await attack(alice, "setns", file)).stdout).toBe("OK\n");
  });

  test("gives nobody root, its owner's id or a device through a set-user-id file or a node", async () => {
    const copy =
      "cp /mnt/try-syscall /suid-root; cp /mnt/try-syscall /suid-33; chown 33:33 /suid-33; chmod 6755 /suid-*";
    hers = await sandbox(alice, `${copy}; mknod /null c 1 3 2>/dev/null && exit 9; mkfifo /fifo; chmod 755 /`, [
      "-d",
      `${scratch}:/mnt:ro`,
    ]);
    expect(await must(["stat", "-c", "%A %u", join(hers.view, "suid-root")])).toBe(`-rwsr-sr-x ${alice.uid}\n`);
    expect(existsSync(join(hers.view, "null"))).toBe(false);
    const { stdout: options } = await run(["findmnt", "-n", "-o", "OPTIONS", hers.view]);
    expect(options.trim().split(",")).toEqual(expect.arrayContaining(["nosuid", "nodev"]));
    for (const as of [bob, mallory]) {
      expect(await run(["sh", "-c", 'exec "$0" ids', join(hers.view, "suid-root")], { as })).toMatchObject({
        stdout: "",
        code: 126,
      });
      // A directory received as a descriptor needs no path to it.
      const fd = openSync(hers.view, "r");
      try {
        for (const name of ["suid-root", "suid-33"]) {
          const argv = asUser(as, ["sh", "-c", 'exec "$0" ids', `/proc/self/fd/3/${name}`]);
          const child = spawn(argv[0] ?? "", argv.slice(1), { stdio: ["pipe", "pipe", "pipe", fd] });
          expect(await finished(child)).toMatchObject({ stdout: `${as.uid} ${as.uid} OK\n` });
        }
      } finally {
        closeSync(fd);
      }
    }
    expect((await run([join(hers.view, "suid-root"), "ids"], { as: alice })).stdout).toBe(
      `${alice.uid} ${alice.uid} OK\n`,
    );
  });

  test("lies where only root may look, and ready clones are not mounted", async () => {
    expect(await must(["stat", "-c", "%a %u", world.state])).toBe("700 0\n");
    for (const as of [alice, bob, mallory]) expect((await run(["ls", world.state], { as })).code).toBe(2);
    await world.settled();
    const mounted = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(` ${world.state}/overlay/clones`));
    expect(mounted).toEqual([]);
  });
});

test("a device node in the template opens no device inside", async () => {
  const template = world.template.replace(/[^/]*$/, "devices");
  const directory = join(scratch, "devices");
  for (const name of ["bin", "proc", "dev", "tmp", "home", "root"])
    mkdirSync(join(directory, name), { recursive: true });
  copyFileSync(trySyscall, join(directory, "bin/try-syscall"));
  chmodSync(join(directory, "bin/try-syscall"), 0o755);
  await must(["mknod", "-m", "666", join(directory, "zero"), "c", "1", "5"]);
  expect((await attack(root, "open", join(directory, "zero"))).stdout).toBe("OK\n");
  try {
    expect(
      await world.isolate(["template", "create", template, "--dir", directory], { as: root, patience: 300_000 }),
    ).toMatchObject({ code: 0 });
    for (const as of [alice, root]) {
      expect(await world.isolate(["-q", "-z", template, "/bin/try-syscall", "open", "/zero"], { as })).toEqual({
        code: 0,
        stdout: "EACCES\n",
        stderr: "",
      });
    }
  } finally {
    await eventually(
      "its clones are gone",
      async () => (await world.isolate(["template", "rm", template], { as: root })).code === 0,
    );
    rmSync(directory, { recursive: true });
  }
});

describe("access to the daemon", () => {
  const user = (gid: number, groups: number[]): User => ({ uid: 61109, gid, groups });

  test.each([
    ["by a supplementary group", user(61109, [61108, group])],
    ["by the primary group", user(group, [])],
  ])("serves a member %s", async (_how, as) => {
    expect(await world.isolate(["-z", world.template, "id", "-u"], { as })).toEqual({
      code: 0,
      stdout: "0\n",
      stderr: "",
    });
  });

  test.each([
    ["of no group", mallory],
    ["of groups whose numbers resemble it", user(6110, [611000, 61101, 1100, group + 1, group - 1])],
  ])("refuses a user %s, even if the socket lets them connect", async (_who, as) => {
    const refused = await world.isolate(["-z", world.template, "true"], { as });
    expect(refused).toEqual({
      code: 125,
      stdout: "",
      stderr: expect.stringMatching(
        /^isolate: cannot reach the daemon at .*: you are not in its group\n {2}.*usermod.*\n$/,
      ),
    });
    chmodSync(world.socket, 0o666);
    try {
      expect(await world.isolate(["-z", world.template, "true"], { as })).toMatchObject({
        code: 125,
        stderr: expect.stringContaining(`cannot serve user ${as.uid}: not a member of the group`),
      });
      for (const line of ["GET /v1/pools", "GET /v1/leases", "GET /v1/templates"])
        expect(status(await ask(as, httpRequest(line)))).toBe(403);
    } finally {
      chmodSync(world.socket, 0o660);
    }
    expect(await world.leases()).toEqual([]);
  });

  test("is not gained by a name or an id in the request", async () => {
    const claims = ["X-Remote-User: root", "X-Uid: 0", "Authorization: Basic cm9vdDo=", "Cookie: uid=0"];
    const change = httpRequest(
      "PUT /v1/pools",
      [...claims, "Connection: close", "Content-Type: application/json", "Content-Length: 2"],
      "{}",
    );
    expect(status(await ask(bob, change))).toBe(403);
    expect(
      (await world.isolate(["pool"], { as: mallory, env: { USER: "root", LOGNAME: "root", SUDO_UID: "0", UID: "0" } }))
        .code,
    ).toBe(125);
  });
});

describe("a member cannot", () => {
  test("choose the host ids of a sandbox, with an option or in a request", async () => {
    const outcome = await world.isolate(["-z", world.template, "-u", "1000000", "id"], { as: bob });
    expect(outcome).toMatchObject({ code: 125, stdout: "" });
    expect(outcome.stderr).toContain("cannot choose ids (-u, -g): only root may");
    for (const ids of ["&uid=1000000", "&gid=1000000", `&uid=${bob.uid}&gid=${bob.uid}`, "&uid=", "&uid=0"])
      expect(status(await ask(bob, leaseRequest(world.template, ids)))).toBe(403);
    expect(await world.leases()).toEqual([]);
  });

  test("change a pool or a template", async () => {
    const before = await world.settled();
    const body = JSON.stringify({ template: world.template, size: "90", fresh: true, reclaimOnly: false });
    const json = ["Connection: close", "Content-Type: application/json", `Content-Length: ${body.length}`];
    const query = `?template=${encodeURIComponent(world.template)}`;
    const requests = [
      httpRequest("PUT /v1/pools", json, body),
      httpRequest(`DELETE /v1/templates${query}`),
      httpRequest(
        `POST /v1/templates${query}x`,
        ["Connection: close", "Content-Type: application/x-tar", "Content-Length: 4"],
        "tar!",
      ),
      httpRequest(`POST /v1/snapshots${query}`, ["Connection: close", "Content-Length: 0"]),
      httpRequest(`GET /v1/edit${query}`, upgrade),
    ];
    for (const request of requests) {
      const answer = await ask(bob, request);
      expect({ request, answer }).toMatchObject({
        answer: expect.stringMatching(/^HTTP\/1\.1 403 (.|[\r\n])*"code":"not-root"/),
      });
    }
    for (const args of [
      ["-r", world.template, "9"],
      ["-r", world.template, "9", "-f"],
      ["template", "rm", world.template],
      ["template", "snapshot", world.template],
    ]) {
      expect(await world.isolate(args, { as: bob })).toMatchObject({
        code: 125,
        stdout: "",
        stderr: expect.stringMatching(/^isolate: cannot .*: only root may\n {2}.*\n$/),
      });
    }
    expect(await world.settled()).toEqual(before);
  });

  test("destroy another user's clone: no request names one", async () => {
    const hers = await sandbox(alice, "echo hers > /mark");
    for (const method of ["DELETE", "PUT", "POST", "PATCH", "GET"]) {
      for (const path of [
        `/v1/leases/${hers.lease}`,
        `/v1/leases?lease=${hers.lease}`,
        `/v1/lease/${hers.lease}`,
        `/v1/clones/${hers.lease}`,
        `/v1/templates?template=${hers.lease}`,
      ]) {
        const answer = await ask(bob, httpRequest(`${method} ${path}`, ["Connection: close", "Content-Length: 0"]));
        expect({ method, path, status: status(answer) }).toMatchObject({ status: expect.not.stringContaining("2") });
        expect([400, 403, 404]).toContain(status(answer));
      }
    }
    expect((await world.isolate(["ps"], { as: bob })).stdout).not.toContain(hers.lease);
    expect((await world.leases()).map(({ lease }) => lease)).toEqual([hers.lease]);
    expect(readFileSync(join(hers.view, "mark"), "utf8")).toBe("hers\n");
  });

  test("make the daemon touch a path of their choice through a name", async () => {
    const hers = await sandbox(alice);
    const before = readdirSync(world.directory).sort();
    const wrongNames = [
      "../../etc",
      "/etc",
      "..",
      ".",
      "",
      "etc/../..",
      `${world.template}/../x`,
      `${world.template}@x`,
      `${world.template}@`,
      "x y",
      "x\0y",
      "x\ny",
      "-rf",
      "%2e%2e",
      "x".repeat(300),
      "é",
      "$(id)",
      ";id",
    ];
    // Outside the overlay store a slash means ZFS, which a host may lack.
    const unknownNames = [
      hers.lease,
      `clones/${hers.lease}`,
      "trash",
      "rpool",
      "rpool/ROOT/debian",
      "overlay/templates",
    ];
    for (const [names, codes] of [
      [wrongNames, [400]],
      [unknownNames, [404, 500]],
    ] as const) {
      for (const name of names) {
        const answer = await ask(bob, leaseRequest(name));
        expect({ name, answer }).toEqual({
          name,
          answer: expect.stringMatching(/"code":"(bad-name|bad-request|unknown-template|unsupported-host)"/),
        });
        expect(codes).toContain(status(answer));
        expect(answer).not.toMatch(/ at .*\.js|node:/);
      }
    }
    for (const more of ["&snapshot=x", "&id=x", "&view=/etc", "&wait=-1", "&wait=x", "&wait=1e9"]) {
      expect({ more, status: status(await ask(bob, leaseRequest(world.template, more))) }).toEqual({
        more,
        status: 400,
      });
    }
    expect(readdirSync(world.directory).sort()).toEqual(before);
    expect((await world.leases()).map(({ lease }) => lease)).toEqual([hers.lease]);
  });

  test("read root's files on the host through a sandbox", async () => {
    const file = join(scratch, "roots");
    writeFileSync(file, "of root\n", { mode: 0o600 });
    const { code, stdout } = await world.isolate(
      [
        "-z",
        world.template,
        "-d",
        `${scratch}:/mnt`,
        "sh",
        "-c",
        "cat /mnt/roots; chmod 777 /mnt/roots; chown 0 /mnt/roots; echo x > /mnt/roots; rm -f /mnt/roots",
      ],
      { as: bob },
    );
    expect({ code, stdout }).toMatchObject({ stdout: "" });
    expect(code).not.toBe(0);
    expect(readFileSync(file, "utf8")).toBe("of root\n");
    expect(await must(["stat", "-c", "%a %u", file])).toBe("600 0\n");
  });
});

describe("a malformed request", () => {
  const granted = /^HTTP\/1\.1 101 /m;
  const served = async (): Promise<void> => {
    expect((await inside("id -u")).stdout).toBe("0\n");
  };

  const refused = [400];
  /** 0: a request that cannot be read to its end may be cut off before the client sees the answer. */
  const refusedOrCut = [431, 0];

  test.each([
    [
      "a wrong Upgrade token",
      () => httpRequest(`GET /v1/lease?template=x`, ["Connection: Upgrade", "Upgrade: websocket"]),
      refused,
    ],
    [
      "two Upgrade tokens",
      () => httpRequest(`GET /v1/lease?template=x`, ["Connection: Upgrade", "Upgrade: isolate-lease, websocket"]),
      refused,
    ],
    [
      "POST with Upgrade",
      () =>
        httpRequest(`POST /v1/lease?template=${encodeURIComponent(world.template)}`, [...upgrade, "Content-Length: 0"]),
      refused,
    ],
    ["PUT of a pool with Upgrade", () => httpRequest("PUT /v1/pools", upgrade), refused],
    [
      "a lease without Upgrade",
      () => httpRequest(`GET /v1/lease?template=${encodeURIComponent(world.template)}`),
      refused,
    ],
    ["an invalid path", () => httpRequest("GET //", upgrade), refused],
    ["headers of a megabyte", () => httpRequest("GET /v1/pools", [`X: ${"x".repeat(1 << 20)}`]), refusedOrCut],
    ["a query of a megabyte", () => leaseRequest("x".repeat(1 << 20)), refusedOrCut],
    ["NUL in a header", () => httpRequest("GET /v1/pools", ["X: a\0b"]), refused],
    [
      "both lengths",
      () => httpRequest("PUT /v1/pools", ["Content-Length: 5", "Transfer-Encoding: chunked"], "0\r\n\r\n"),
      refused,
    ],
    ["no HTTP at all", () => "\x16\x03\x01 hello\r\n\r\n", refused],
  ])("%s is refused, and the daemon continues", async (_what, request, expected) => {
    const answer = await ask(bob, request());
    expect(answer).not.toMatch(granted);
    expect(expected).toContain(status(answer));
    await served();
  });

  test("a second request after the upgrade, in one piece or later, gets no answer and ends the lease", async () => {
    const lease = leaseRequest(world.template);
    const second = httpRequest("GET /v1/leases");
    expect(await ask(bob, lease + second)).toBe("");
    const after = await ask(bob, lease, second);
    expect(after).toMatch(granted);
    expect(after.match(/HTTP\/1\.1 [2-5]\d\d/g)).toBeNull();
    await world.settled();
    await served();
  });

  test("an upgrade with a body gets no lease", async () => {
    const lease = httpRequest(
      `GET /v1/lease?template=${encodeURIComponent(world.template)}`,
      [...upgrade, "Content-Length: 5"],
      "hello",
    );
    expect(await ask(bob, lease)).not.toMatch(granted);
    await world.settled();
    await served();
  });

  test("a lease after another request on its connection is one lease of that user", async () => {
    const opened = raw(bob, [[httpRequest("GET /v1/pools", []) + leaseRequest(world.template)]]);
    await opened.until("both are answered", ({ text }) => text.includes("HTTP/1.1 101 ") && text.includes('"view"'));
    expect(await world.leases()).toHaveLength(1);
    for (const lease of await world.leases()) expect(lease).toMatchObject({ uid: bob.uid, pid: opened.pid });
    await served();
  });
});

describe("the limit of clones", () => {
  const granted = (opened: Raw): number => opened.states.filter(({ text }) => /^HTTP\/1\.1 101 /m.test(text)).length;

  test("a hundred simultaneous connections get only the limit, and others are served", async () => {
    const opened = raw(
      bob,
      Array.from({ length: 100 }, () => [leaseRequest(world.template, "&wait=60")]),
    );
    await opened.until("each is answered", ({ text }) => /^HTTP\/1\.1 (101|4)/m.test(text));
    expect(granted(opened)).toBe(limit);
    expect(opened.states.filter(({ text }) => status(text) === 429)).toHaveLength(100 - limit);
    expect((await inside("id -u")).stdout).toBe("0\n");
    expect((await world.leases()).filter(({ uid }) => uid === bob.uid)).toHaveLength(limit);
  });

  test("counts clients that still wait", async () => {
    await world.isolate(["-r", world.template, "0"], { as: root });
    try {
      const opened = raw(
        bob,
        Array.from({ length: 30 }, () => [leaseRequest(world.template, "&wait=60")]),
      );
      await opened.until("each is answered", ({ text }) => /^HTTP\/1\.1 (101|4)/m.test(text));
      expect(granted(opened)).toBe(limit);
      await opened.close();
      await eventually("the leases are gone", async () => (await world.leases()).length === 0);
    } finally {
      await world.isolate(["-r", world.template, "3"], { as: root });
    }
  });

  test("counts a clone that a process still uses after its lease has ended, and pins no other", async () => {
    const opened = raw(
      bob,
      Array.from({ length: limit }, () => [leaseRequest(world.template)]),
    );
    await opened.until("granted", ({ text }) => text.includes('"view"'));
    const views = opened.states.map(({ text }) => (JSON.parse(text.slice(text.indexOf("{"))) as { view: string }).view);
    // It has no terminal or parent that the daemon knows; the owner may enter the view.
    const squatters = views.map((view) =>
      start(["sh", "-c", 'cd "$0" && echo there && exec sleep 1000', view], { as: bob }),
    );
    const ends = squatters.map((child) => finished(child, { patience: 600_000 }));
    try {
      await Promise.all(squatters.map((child) => new Promise((resolve) => child.stdout?.once("data", resolve))));
      await opened.close();
      await eventually("no lease is left", async () => (await world.leases()).length === 0);
      const again = raw(
        bob,
        Array.from({ length: 20 }, () => [leaseRequest(world.template, "&wait=1")]),
      );
      await again.until("each is answered", ({ text }) => /^HTTP\/1\.1 (101|4|5)/m.test(text));
      const { retired } = await world.pool();
      expect(granted(again) + retired).toBeLessThanOrEqual(limit);
      expect((await inside("id -u")).stdout).toBe("0\n");
      await again.close();
    } finally {
      for (const child of squatters) child.kill("SIGKILL");
      await Promise.all(ends);
    }
    expect(await world.settled()).toMatchObject({ failed: 0, ready: 3 });
  });
});

describe("the descriptor of a lease", () => {
  /** A sandbox, the host pid of the process that holds its lease's descriptor, and the descriptor's number. */
  async function held(as: User): Promise<Sandbox & { holder: number; fd: number }> {
    const box = await sandbox(as);
    for (const pid of box.pids) {
      for (const name of readdirSync(`/proc/${pid}/fd`)) {
        const { stdout } = await run(["readlink", `/proc/${pid}/fd/${name}`]);
        if (Number(name) > 2 && stdout.startsWith("socket:")) return { ...box, holder: pid, fd: Number(name) };
      }
    }
    throw new Error("nobody holds the lease");
  }

  test("is held only by the first program inside, from which only root can take it", async () => {
    const box = await held(alice);
    expect(box.holder).toBe(box.pids[2]);
    for (const as of [alice, bob, mallory]) {
      expect((await attack(as, "pidfd_getfd", String(box.holder), String(box.fd))).stdout).toBe("EPERM\n");
      expect((await attack(as, "ptrace", String(box.holder))).stdout).toBe("EPERM\n");
    }
    expect(await world.leases()).toHaveLength(1);
  });

  test("sends the daemon no request if stolen: the first byte ends the sandbox, without an answer", async () => {
    const box = await held(alice);
    const end = new Promise((resolve) => box.child.once("exit", resolve));
    const { stdout } = await attack(
      root,
      "fd-request",
      String(box.holder),
      String(box.fd),
      "GET /v1/leases HTTP/1.1\nHost: x\n\n",
    );
    expect(stdout).toMatch(/^(OK|EPIPE|ECONNRESET)\n$/);
    await end;
    expect(await world.settled()).toMatchObject({ leased: 0, retired: 0 });
  });

  test("ends the sandbox if shut down, and frees no lease before the clone is gone", async () => {
    const boxes = await Promise.all(Array.from({ length: limit }, () => held(bob)));
    const ends = boxes.map(({ child }) => new Promise((resolve) => child.once("exit", resolve)));
    for (const { holder, fd } of boxes)
      expect((await attack(root, "fd-shutdown", String(holder), String(fd))).stdout).toBe("OK\n");
    const opened = raw(
      bob,
      Array.from({ length: 20 }, () => [leaseRequest(world.template, "&wait=1")]),
    );
    await opened.until("each is answered", ({ text }) => /^HTTP\/1\.1 (101|4|5)/m.test(text));
    const alive = boxes.filter(({ pids }) => pids.some((pid) => existsSync(`/proc/${pid}/root/`))).length;
    expect(granted(opened.states) + alive).toBeLessThanOrEqual(limit);
    await opened.close();
    await Promise.all(ends);
    expect(await world.settled()).toMatchObject({ leased: 0, retired: 0 });
  });

  const granted = (states: Raw["states"]): number => states.filter(({ text }) => /^HTTP\/1\.1 101 /m.test(text)).length;

  test("does not outlive its holder in another process that kept it", async () => {
    const box = await held(alice);
    // Only root can take it, so root acts as a helper that inherited it.
    const helper = spawn(trySyscall, ["fd-hold", String(box.holder), String(box.fd)], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    await new Promise((resolve) => helper.stdout?.once("data", resolve));
    await box.end();
    // The helper still has it unless the daemon has ended the helper too.
    expect(await world.settled()).toMatchObject({ leased: 0, retired: 0 });
    if (helper.exitCode === null && helper.signalCode === null) await finished(helper);
  });
});

describe("from inside, nobody can", () => {
  test("make a read-only bind writable", async () => {
    const bound = join(scratch, "bound");
    mkdirSync(bound);
    chmodSync(bound, 0o777);
    const tries =
      "try-syscall mount-remount-rw /mnt; mount -o remount,bind,rw /mnt 2>/dev/null; umount /mnt 2>/dev/null; umount -l /mnt 2>/dev/null; unshare -Urm mount -o remount,bind,rw /mnt 2>/dev/null; touch /mnt/x 2>/dev/null; unshare -Urm try-syscall mount-remount-rw /mnt; touch /mnt/x";
    for (const as of [alice, root]) {
      const { stdout, code } = await world.isolate(
        [
          "-z",
          world.template,
          "-d",
          `${trySyscall}:/usr/bin/try-syscall:ro`,
          "-d",
          `${bound}:/mnt:ro`,
          "sh",
          "-c",
          tries,
        ],
        { as },
      );
      expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringMatching(/^EPERM\n(EPERM\n|)$/) });
    }
    expect(readdirSync(bound)).toEqual([]);
    expect((await must(["sha256sum", trySyscall])).slice(0, 64)).toBe(
      (await must(["sha256sum", join(projectRoot, "dist/test/try-syscall")])).slice(0, 64),
    );
  });

  test.each([
    ["alice", alice],
    ["root", root],
  ])("find a key of %s's keyrings", async (_who, as) => {
    const name = `isolate-test-${process.pid}-${as.uid}`;
    const options = { as, env: { ISOLATE_SOCKET: world.socket } };
    const withKey = (command: string[]) => run([trySyscall, "with-key", name, ...command], options);
    expect((await withKey([trySyscall, "find-key", name])).stdout).toBe("OK\n");
    const box = [program("isolate"), "-z", world.template, "-d", `${trySyscall}:/usr/bin/try-syscall:ro`];
    expect((await withKey([...box, "try-syscall", "find-key", name])).stdout).not.toMatch(/^OK$/m);
    // Keyrings belong to a host uid; that uid can see their numbers, and anyone can guess them.
    const numbers = (await withKey(["awk", "/keyring/ { print $1 }", "/proc/keys"])).stdout.trim().split("\n");
    expect(numbers.length).toBeGreaterThan(1);
    const { stdout, code } = await withKey([
      ...box,
      "sh",
      "-c",
      `for n in ${numbers.join(" ")}; do try-syscall link-keyring $n; done; try-syscall find-key ${name}`,
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.not.stringMatching(/^OK$/m) });
  });

  test("see a descriptor of the process that started the sandbox", async () => {
    const argv = asUser(alice, [
      "sh",
      "-c",
      'exec 3</etc/passwd 4</ 5</proc 6>/dev/null; "$@"; true',
      "sh",
      program("isolate"),
      "-z",
      world.template,
      "-d",
      `${trySyscall}:/usr/bin/try-syscall:ro`,
      "try-syscall",
      "fds",
    ]);
    const extra = Array.from({ length: 14 }, () => openSync("/etc/shadow", "r"));
    try {
      const child = spawn(argv[0] ?? "", argv.slice(1), {
        stdio: ["pipe", "pipe", "pipe", ...extra.map(() => "ignore" as const), ...extra],
        env: { PATH: "/usr/bin:/bin", ISOLATE_SOCKET: world.socket },
      });
      expect(await finished(child)).toEqual({ code: 0, stdout: "0 1 2 OK\n", stderr: "" });
    } finally {
      for (const fd of extra) closeSync(fd);
    }
    const { stdout } = await inside(
      "for n in 0 1 2 3; do readlink /proc/1/fd/$n; cat /proc/1/fd/$n; done 2>/dev/null; ls /proc/1/root/ /proc/1/cwd/ 2>/dev/null; try-syscall pidfd_getfd 1 3",
    );
    expect(stdout).toBe("EPERM\n");
  });

  test("see the host's processes, name, root or message queues", async () => {
    const pids = (await inside("ls /proc | grep '^[0-9]' | tr '\\n' ' '")).stdout.trim().split(" ").map(Number);
    expect(Math.max(...pids)).toBeLessThan(100);
    expect((await inside(`kill -0 ${process.pid}; ls -d /proc/${process.pid} /oldroot /newroot`)).stdout).toBe("");
    const host = await must([
      "sh",
      "-c",
      "hostname; for n in uts ipc pid mnt user net; do readlink /proc/self/ns/$n; done",
    ]);
    const guest = (
      await inside("hostname; hostname changed; for n in uts ipc pid mnt user net; do readlink /proc/self/ns/$n; done")
    ).stdout;
    for (const line of guest.trim().split("\n")) expect(host.split("\n")).not.toContain(line);
    expect(guest.split("\n")).toHaveLength(8);
    expect((await must(["hostname"])).trim()).toBe(host.split("\n")[0]);
    expect((await inside("test -e /proc/1/root/oldroot || ls -a / | grep -E 'oldroot|newroot'")).code).toBe(1);
  });

  test("change the kernel's settings", async () => {
    const file = "/proc/sys/kernel/core_pattern";
    const before = readFileSync(file, "utf8");
    for (const as of [alice, root]) {
      const { stdout } = await inside(
        `for f in ${file} /proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_forward /proc/sysrq-trigger; do (echo 0 > $f) 2>/dev/null && echo $f; done; true`,
        { as },
      );
      expect(stdout.replace("/proc/sys/net/ipv4/ip_forward\n", "")).toBe("");
    }
    expect(readFileSync(file, "utf8")).toBe(before);
  });
});
