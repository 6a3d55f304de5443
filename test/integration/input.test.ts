/** Bad input: one clear error and the next step, exit code 125, nothing changed, no stack trace. */
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { debianTar } from "../support/debian-root.ts";
import { eventually, must, type Outcome, root, run } from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, bob, createWorld, group, mallory, mountsBelow, type World } from "../support/world.ts";

const zpool = process.env.ISOLATE_TEST_ZPOOL;
let world: World;
let scratch: string;
let before: Awaited<ReturnType<typeof situation>>;

beforeAll(async () => {
  world = await createWorld({ size: 2, config: '[[template]]\nname = "none"\nsize = 0\n' });
  scratch = world.scratch();
  before = await situation();
}, 1_200_000);
afterAll(async () => {
  await world.close();
  for (const mountPoint of mountsBelow(scratch)) await run(["umount", "-l", "--", mountPoint]);
  rmSync(scratch, { recursive: true, force: true });
}, 300_000);
afterEach(async () => {
  expect(await situation()).toEqual(before);
});

/** All state that a mistake must not change. */
async function situation() {
  const pool = await world.settled();
  const listed = (await world.isolate(["template", "ls", "--json"], { as: root })).stdout;
  const templates = listed.replace(/"bytes".*/g, ""); // counted in the background
  const store = join(world.state, "overlay");
  await eventually("the trash is empty", () => readdirSync(join(store, "trash")).length === 0);
  // Not recursive: the templates contain links that lead out of the store.
  const state = readdirSync(store).flatMap((kind) =>
    kind === "clones" || !statSync(join(store, kind)).isDirectory()
      ? [kind]
      : [kind, ...readdirSync(join(store, kind)).map((name) => join(kind, name))],
  );
  return { pool, templates, state: state.sort() };
}

/** One sentence that says what cannot be done, the next step on its own line, and nothing more. */
function expectRefusal(outcome: Outcome, sentence: string | RegExp, who = "isolate"): void {
  const { code, stdout, stderr } = outcome;
  expect({ code, stdout, stderr }).toEqual({
    code: 125,
    stdout: "",
    stderr: expect.stringMatching(new RegExp(`^${who}: cannot [^\\n]+\\n  [^\\n]+\\n$`)),
  });
  if (typeof sentence === "string") expect(stderr).toContain(sentence);
  else expect(stderr).toMatch(sentence);
}

const isolate = (...args: string[]) => world.isolate(args, { as: alice });
const asRoot = (...args: string[]) => world.isolate(args, { as: root, patience: 300_000 });

describe("a template's name", () => {
  test("that resembles another", async () => {
    const typo = world.template.replace(/debian$/, "debain");
    expectRefusal(
      await isolate("-z", typo, "true"),
      new RegExp(`cannot find the template '${typo}'\\n  did you mean ${world.template}\\?`),
    );
  });

  test("that resembles no other", async () => {
    const name = world.template.replace(/debian$/, "quite-another-thing");
    expectRefusal(
      await isolate("-z", name, "true"),
      `cannot find the template '${name}'\n  list the templates: isolate template ls`,
    );
    for (const args of [
      ["-r", name, "2"],
      ["-r", name, "2", "-s"],
      ["template", "rm", name],
      ["template", "snapshot", name],
    ]) {
      expectRefusal(await asRoot(...args), `cannot find the template '${name}'`);
    }
  });

  const names = [
    "../x",
    "a b",
    "-x",
    "x@y",
    "x".repeat(300),
    "",
    "/etc",
    ".",
    "..",
    "a//b",
    "a/",
    "/",
    "x\ny",
    "x\u001b[31my",
    "é",
    "x;y",
    "$(id)",
  ];
  test.each(names)("%j", async (name) => {
    for (const outcome of [
      await isolate("-z", name, "true"),
      await asRoot("-r", name, "2"),
      await asRoot("template", "rm", "--", name),
      await asRoot("template", "snapshot", "--", name),
    ]) {
      expectRefusal(outcome, "cannot use the name '");
      expect(outcome.stderr.length).toBeLessThan(400);
      // No part of it reaches the terminal as a control sequence.
      expect(outcome.stderr).toMatch(/^[\x20-\x7e\n]*$/);
    }
    expectRefusal(await asRoot("template", "create", "--tar", "/dev/null", "--", name), "cannot use the name '");
  });

  test("of a dataset that has no snapshot", async () => {
    if (zpool) await must(["zfs", "create", "-o", "mountpoint=none", `${world.template}-bare`]);
    const name = zpool ? `${world.template}-bare` : "none";
    try {
      const wrong = zpool
        ? `cannot clone the template '${name}': it has no snapshot yet\n  as root: isolate template snapshot ${name}`
        : `cannot find the template '${name}'`;
      expectRefusal(await asRoot("-r", name, "2"), wrong);
      const asked = await isolate("-z", name, "--wait", "1", "true");
      expect(asked.stderr).not.toMatch(/^\s+at /m);
      expectRefusal({ ...asked, stderr: asked.stderr.replace(/^isolate: waiting [^\n]*\n/, "") }, `'${name}'`);
    } finally {
      if (zpool) await must(["zfs", "destroy", `${world.template}-bare`]);
    }
  });
});

describe("the daemon", () => {
  test("does not serve users outside its group", async () => {
    for (const args of [["-z", world.template, "true"], ["pool"], ["ps"], ["template", "ls"]]) {
      expectRefusal(
        await world.isolate(args, { as: mallory }),
        /you are not in its group\n {2}as root: usermod -aG isolate USER/,
      );
    }
  });

  test.each([
    ["does not exist", "/nowhere/socket", "there is no such socket"],
    ["has a socket path that is no socket", "/etc/passwd", "nothing listens there"],
    ["has a path that is too long", `/${"x".repeat(200)}`, "longer than 107 bytes"],
  ])("%s", async (_what, socket, why) => {
    for (const args of [
      ["-z", world.template, "true"],
      ["pool"],
      ["ps", "--json"],
      ["template", "ls"],
      ["-r", world.template, "2"],
    ]) {
      const outcome = await world.isolate(["--socket", socket, ...args], { as: root });
      expectRefusal(
        outcome,
        /^isolate: cannot reach the daemon at .*\n {2}start it: sudo systemctl start isolated\.socket/,
      );
      expect(outcome.stderr).toContain(why);
    }
  });
});

describe("-r", () => {
  test("is root's", async () => {
    expectRefusal(
      await isolate("-r", world.template, "9"),
      /^isolate: cannot change a pool: only root may\n {2}run the same command with sudo\n$/,
    );
    expectRefusal(await world.isolate(["-r", world.template, "1", "-f"], { as: bob }), "only root may");
  });

  test.each(["-1", "101", "x", "", "1e1", "1.5", " 3", "0x3", "٣", "99999999999999999999", "3;id"])(
    "with %j clones",
    async (count) => {
      expectRefusal(
        await asRoot("-r", world.template, count),
        /cannot keep '[^\n]*' copies ready: the count must be a whole number from 0 to 100\n {2}for example: isolate -r TEMPLATE 5/,
      );
    },
  );

  test.each([
    [["-r"], "-r needs TEMPLATE and [N]"],
    [["-r", "debian", "3", "true"], "unexpected word 'true'"],
    [["-r", "debian", "3", "-f", "-s"], "give one of them"],
    [["-r", "debian", "3", "-z", "debian"], "-z does not go with -r"],
    [["-f", "-z", "debian", "true"], "-f goes only with -r"],
  ])("%j", async (args, wrong) => {
    expectRefusal(await asRoot(...args), wrong);
  });
});

describe("a run", () => {
  const onTemplate = (...args: string[]) => isolate("-z", world.template, ...args);

  test("without a command or template, or with an unknown option", async () => {
    expectRefusal(await onTemplate(), "cannot run: missing command");
    expectRefusal(await onTemplate("--"), "cannot run: missing command");
    expectRefusal(await isolate("no-such-command"), "cannot run: missing template or zfs template");
    expectRefusal(await isolate("-n", "id"), "cannot run: missing template or zfs template");
    expectRefusal(await isolate("-z"), "-z needs TEMPLATE");
    expectRefusal(await onTemplate("-Q", "id"), "unknown option -Q");
    expectRefusal(await onTemplate("--no-such", "id"), "unknown option --no-such");
    expectRefusal(await onTemplate("-t", "/", "id"), "-z and -t contradict each other");
    expectRefusal(await isolate("-z", world.template, "-z", world.template, "id"), "-z is given twice");
    expect(await isolate()).toMatchObject({
      code: 125,
      stdout: "",
      stderr: expect.stringContaining("'isolate help run'"),
    });
  });

  test.each([
    [["-e", "docker"], "unknown engine 'docker'; the engines are bwrap"],
    [["-e", ""], "unknown engine ''"],
    [["-d", "/etc"], "cannot bind '/etc': it does not have two or three parts"],
    [["-d", "/etc:mnt"], "the part after the colon is not an absolute path"],
    [["-d", ":/mnt"], "the part before the colon is empty"],
    [["-d", "/etc:/mnt:rw"], "'rw' is not 'ro'"],
    [["-d", "/etc:/mnt:ro:x"], "it does not have two or three parts"],
    [["-d", "/no/such:/mnt"], "there is no /no/such on the host"],
    [["-d", "/etc:/proc/x"], "/proc/x belongs to the sandbox itself"],
    [["-d", "/etc:/"], "/ belongs to the sandbox itself"],
    [["-d", "/etc:/etc/passwd"], "/etc is a directory, but /etc/passwd in the root filesystem is a file"],
    [["-v", "NAME"], "cannot set 'NAME': there is no colon"],
    [["-v", ":x"], "the name is empty"],
    [["-v", "A=B:x"], "the name contains '='"],
    [["-p", "etc"], "-p needs an absolute path in the root filesystem, not 'etc'"],
    [["--wait", "x"], "--wait needs a whole number of seconds up to 99999, not 'x'"],
    [["--wait", "-1"], "--wait needs a whole number of seconds"],
    [["--wait", ""], "--wait needs a whole number of seconds"],
    [["--cap-add", "ROOT"], "--cap-add needs the name of a capability, such as NET_ADMIN, or ALL, not 'ROOT'"],
    [["--cap-drop="], "--cap-drop needs the name of a capability"],
    [["--cap-add", "kill", "--cap-drop", "CAP_KILL"], "--cap-add KILL and --cap-drop KILL contradict each other"],
    [["--read-only", "-d", "/etc:/new"], "cannot bind '/etc:/new': /new does not exist, and / is read-only"],
    [["-u", "1000000"], "cannot choose ids (-u, -g): only root may"],
    [["-q", "-x"], "-q and -x contradict each other"],
    [["--socket="], "--socket is empty"],
  ])("with %j", async (args, wrong) => {
    expectRefusal(await onTemplate(...args, "true"), wrong);
  });

  describe.each([
    ["bwrap", alice],
    ["chroot", root],
    ["lxc", root],
  ] as const)("by the engine %s", (engine, as) => {
    const on = (args: string[], env = {}) =>
      world.isolate(["-e", engine, "-z", world.template, ...args, "touch", "/x"], { as, env });

    test("accepts only a number as a quota", async () => {
      for (const evil of ["20; touch /x", "0", "9e9", "-1", "", "1\n2", "1:2", "$(touch /x)", " 1"])
        for (const option of ["--cpus", "--memory", "--pids"])
          expectRefusal(await on([option, evil]), `cannot limit the sandbox: ${option} '`);
      if (engine !== "lxc") return;
      for (const evil of ["20; touch /x", "0", "101", "9e9", "-1", "20\n30", "1:2", "a[$(touch /x)]"])
        expectRefusal(await on([], { LXC_CPU_QUOTA: evil }), "LXC_CPU_QUOTA '");
      for (const evil of ["5; touch /x", "0", "9e9", "5\n6", "1:2", "99999999999"])
        expectRefusal(await on([], { LXC_MEM_MB_QUOTA: evil }), "LXC_MEM_MB_QUOTA '");
      expect(existsSync("/x")).toBe(false);
    });

    test("accepts no invalid directory, variable or path", async () => {
      const wrong = [
        ...["/etc\n:/mnt", "/etc:/mnt:ro\n", "a:b:c:d", ":", "::", "\n", "/etc:/mnt:ro:"].map((bind) => ["-d", bind]),
        ...["\n", "A=\n:x", ":", "A", "=:"].map((variable) => ["-v", variable]),
        ...["", "\n/etc", "etc:/"].map((place) => ["-p", place]),
      ];
      for (const args of wrong) {
        const outcome = await on(args);
        const what = engine === "chroot" ? "cannot honour" : /cannot (bind|set) '|-p needs an absolute path/;
        expectRefusal(outcome, what);
      }
      if (engine === "bwrap")
        expectRefusal(await on(["-p", "/etc\n"]), "cannot start in '/etc?' of the root filesystem");
    });
  });

  test.each(["x", "-1", "4294967295", "", "0", "1879048192", "99999999999", "5; touch /x", "5\n6", "1e3"])(
    "by root with the ids from %j on",
    async (base) => {
      for (const option of ["-u", "-g"]) {
        const outcome = await asRoot("-z", world.template, option, base, "true");
        expectRefusal(outcome, `cannot map IDs with ${option} '`);
        expectRefusal(await asRoot("-t", "/nowhere", option, base, "true"), `cannot map IDs with ${option} '`);
      }
    },
  );

  test("binds no path that its caller cannot reach", async () => {
    const closed = join(scratch, "closed");
    mkdirSync(closed, { mode: 0o700 });
    expectRefusal(
      await onTemplate("-d", `${closed}/x:/mnt`, "true"),
      `cannot bind '${closed}/x:/mnt': ${closed}/x: EACCES`,
    );
  });

  test.each([
    ["-t", "/no/such", "it does not exist"],
    ["-t", "/", "it is the host's own root"],
    ["-t", "/etc/passwd", "it is not a directory"],
    ["-t", "/proc/self/fd", "it contains neither bin nor usr"],
  ])("%s %s", async (...[flag, directory, wrong]) => {
    expectRefusal(await isolate(flag, directory, "true"), `cannot use '${directory}' as a root filesystem: ${wrong}`);
  });
});

describe("commands", () => {
  test.each([
    [["template"], "'template' needs one of: ls, create,"],
    [["template", "destroy", "x"], "'template' needs one of"],
    [["template", "rm"], "needs TEMPLATE"],
    [["template", "create", "x"], "needs exactly one of --dir DIR, --tar FILE and --debian SUITE"],
    [["template", "create", "x", "--dir", "/a", "--tar", "/b"], "needs exactly one of"],
    [["template", "create", "x", "--zip", "/a"], "unknown option --zip"],
    [["pool", "x"], "unexpected word 'x' after 'pool'"],
    [["ps", "--yaml"], "unknown option --yaml"],
    [["-n", "ps"], "-n does not go with 'ps'"],
  ])("%j", async (args, wrong) => {
    expectRefusal(await asRoot(...args), wrong);
  });
});

describe("template create", () => {
  const fresh = () => world.template.replace(/debian$/, "fresh");
  const create = (...args: string[]) =>
    world.isolate(["template", "create", "-q", ...args], { as: root, patience: 600_000 });
  const file = (name: string, content: string | Buffer): string => {
    writeFileSync(join(scratch, name), content);
    return join(scratch, name);
  };

  test("is root's", async () => {
    const outcome = await world.isolate(["template", "create", fresh(), "--dir", "/etc"], { as: alice });
    expectRefusal(outcome, "cannot create a template: only root may");
  });

  test("with a name that exists", async () => {
    expectRefusal(
      await create(world.template, "--tar", await debianTar()),
      `cannot create the template '${world.template}': it already exists`,
    );
  });

  test.each([
    ["a file that does not exist", () => ["--tar", "/no/such.tar"], "/no/such.tar"],
    ["a directory that does not exist", () => ["--dir", "/no/such"], "/no/such"],
    ["a file instead of a directory", () => ["--dir", "/etc/passwd"], "/etc/passwd"],
    ["a directory instead of a file", () => ["--tar", "/etc"], "/etc"],
    ["a text file", () => ["--tar", file("text", "no archive at all\n".repeat(1000))], ""],
    ["nothing", () => ["--tar", file("empty", "")], ""],
    ["an invalid suite", () => ["--debian", "../x"], "../x"],
  ])("from %s", async (_what, source, names) => {
    expectRefusal(await create(fresh(), ...source()), names);
  });

  test("from a broken or truncated archive", async () => {
    const whole = join(scratch, "whole.tar");
    await must(["tar", "-C", "/usr/bin", "-cf", whole, "tar", "cp", "ls"]);
    const { readFileSync } = await import("node:fs");
    const bytes = readFileSync(whole);
    expectRefusal(
      await create(fresh(), "--tar", file("cut.tar", bytes.subarray(0, bytes.length >> 1))),
      /cannot (unpack|make)/,
    );
    const broken = Buffer.from(bytes);
    broken.fill(0xff, 0, 512);
    expectRefusal(await create(fresh(), "--tar", file("broken.tar", broken)), /cannot (unpack|make)/);
    await must(["gzip", "-kf", whole]);
    const packed = readFileSync(`${whole}.gz`);
    expectRefusal(
      await create(fresh(), "--tar", file("cut.tar.gz", packed.subarray(0, packed.length >> 1))),
      /cannot (unpack|make)/,
    );
  });
});

test("does not remove a template that is in use", async () => {
  const child = world.begin(["-z", world.template, "sh", "-c", "echo up; read line"]);
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  expectRefusal(
    await asRoot("template", "rm", world.template),
    /cannot remove the template '.*': copies of it are in use \([0-9]+\)\n {2}end their sandboxes first \(see 'isolate ps'\)/,
  );
  expect((await isolate("-z", world.template, "true")).code).toBe(0);
  child.stdin?.end("\n");
  await world.settled();
});

describe("the daemon's configuration", () => {
  let count = 0;
  const own = (...lines: string[]): string[] => {
    const directory = join(scratch, `daemon-${count++}`);
    mkdirSync(directory);
    const at = (name: string): string => JSON.stringify(join(directory, name));
    writeFileSync(
      join(directory, "c.toml"),
      [`socket = ${at("socket")}`, `state_dir = ${at("state")}`, `runtime_dir = ${at("run")}`, ...lines, ""].join("\n"),
    );
    return ["--config", join(directory, "c.toml")];
  };
  const daemon = (args: string[], as = root) => run([program("isolated"), ...args], { as, patience: 60_000 });

  afterEach(() => {
    expect(mountsBelow(scratch)).toEqual([]);
    for (let number = 0; number < count; number++)
      expect(existsSync(join(scratch, `daemon-${number}/socket`))).toBe(false);
  });

  test.each([
    [
      "an unknown key",
      ["group = 1", "colour = 1"],
      /c\.toml, line 5: unknown key 'colour'; the keys here are group, socket,/,
    ],
    [
      "an unknown nested key",
      ["group = 1", "[limits]", "leases = 1"],
      /line 6: unknown key 'leases'; the keys here are leases_per_user/,
    ],
    [
      "a wrong type",
      ["group = 1", "[limits]", 'leases_per_user = "many"'],
      /line 6: 'limits\.leases_per_user' must be integer/,
    ],
    ["a number out of range", ["group = 1", "[pool]", "size = 101"], /line 6: 'pool\.size' must be <= 100/],
    [
      "a value that is not allowed",
      ["group = 1", 'log_level = "loud"'],
      /line 5: 'log_level' must be "trace" or "debug"/,
    ],
    ["a line that is not TOML", ["group = "], /line [45]: not TOML: /],
    [
      "a group that does not exist",
      ['group = "no-such-group-here"'],
      /cannot start: there is no group 'no-such-group-here'\n {2}groupadd --system no-such-group-here/,
    ],
    [
      "an invalid template name",
      [`group = ${group}`, "[[template]]", 'name = "../x"'],
      /cannot use the name '\.\.\/x'/,
    ],
  ])("with %s", async (_what, lines, wrong) => {
    expectRefusal(await daemon(own(...lines)), wrong, "isolated");
  });

  test("that does not exist", async () => {
    expectRefusal(
      await daemon(["--config", "/no/such.toml"]),
      "cannot start: cannot read /no/such.toml: ENOENT\n  check --config",
      "isolated",
    );
    expectRefusal(await daemon(["--config", "/etc"]), "cannot start: cannot read /etc: EISDIR", "isolated");
  });

  test("that root does not own", async () => {
    chmodSync(scratch, 0o755);
    expectRefusal(
      await daemon(own(`group = ${group}`), alice),
      "cannot start: only root may\n  run it with sudo",
      "isolated",
    );
  });

  test("with a state or runtime directory that another user owns", async () => {
    const theirs = join(scratch, "theirs");
    mkdirSync(theirs, { mode: 0o700 });
    await must(["chown", String(alice.uid), theirs]);
    expectRefusal(
      await daemon([...own(`group = ${group}`), "--state-dir", theirs]),
      `cannot start: users other than root can write to ${theirs}`,
      "isolated",
    );
    expectRefusal(
      await daemon([...own(`group = ${group}`), "--runtime-dir", theirs]),
      `cannot start: ${theirs} is owned by user ${alice.uid}`,
      "isolated",
    );
    const open = join(scratch, "open");
    mkdirSync(open);
    chmodSync(open, 0o777);
    expectRefusal(
      await daemon([...own(`group = ${group}`), "--state-dir", open]),
      `cannot start: users other than root can write to ${open}`,
      "isolated",
    );
  });

  test("with unknown flags", async () => {
    const { code, stdout, stderr } = await daemon(["--no-such"]);
    expect({ code, stdout, stderr }).toEqual({
      code: 125,
      stdout: "",
      stderr: expect.stringMatching(/unknown option '--no-such'/),
    });
    expect((await daemon(["word"])).code).toBe(125);
  });

  test("with an impossible socket path", async () => {
    expectRefusal(
      await daemon([...own(`group = ${group}`), "--socket", `/${"x".repeat(120)}`]),
      /cannot start: /,
      "isolated",
    );
  });
});
