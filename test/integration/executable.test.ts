/** The executables obey no file of their working directory, and need nothing from their caller. */
import { spawn } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { asUser, finished, must, run } from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, createWorld, type World } from "../support/world.ts";

let world: World;
let trap: string;

beforeAll(async () => {
  world = await createWorld({ size: 1 });
  trap = mkdtempSync(join(tmpdir(), "isolate-trap-"));
  chmodSync(trap, 0o777);
  layTrap(trap);
}, 1_200_000);
afterAll(async () => {
  await world.close();
  rmSync(trap, { recursive: true, force: true });
}, 300_000);

/** Every file that a JavaScript runtime may look for in its working directory. Each leaves the file `sprung` if it runs. */
function layTrap(directory: string): void {
  const put = (name: string, text: string): void => writeFileSync(join(directory, name), text);
  const spring = `require("node:fs").appendFileSync(${JSON.stringify(join(directory, "sprung"))}, __filename + "\\n");\n`;
  put("preload.cjs", spring);
  put(
    ".env",
    "ISOLATE_SOCKET=/nowhere/from-env-file\nNODE_OPTIONS=--require=./preload.cjs\nBUN_CONFIG_PRELOAD=./preload.cjs\n",
  );
  for (const variant of [".env.local", ".env.production", ".env.development"])
    put(variant, "ISOLATE_SOCKET=/nowhere/from-env-file\n");
  put(
    "bunfig.toml",
    'preload = ["./preload.cjs"]\n[run]\npreload = ["./preload.cjs"]\n[test]\npreload = ["./preload.cjs"]\n',
  );
  put(".bunfig.toml", 'preload = ["./preload.cjs"]\n');
  put("package.json", '{ "name": "trap", "type": "nonsense", "imports": { "node:fs": "./preload.cjs" }, "main": 3, }');
  put("tsconfig.json", '{ "compilerOptions": { "paths": { "*": ["./preload.cjs"] }, "jsx": "nonsense" }, ');
  for (const name of ["koffi", "commander", "ajv", "@sinclair/typebox", "bun:ffi", "node:fs"]) {
    mkdirSync(join(directory, "node_modules", name), { recursive: true });
    put(`node_modules/${name}/index.js`, spring);
    put(`node_modules/${name}/package.json`, '{ "main": "index.js" }');
  }
}

describe("in a directory that another user prepared", () => {
  test.each([
    ["a run", () => ["-z", world.template, "echo", "ran"], "ran\n"],
    ["a listing", () => ["ps", "--json"], "[]\n"],
    ["the help", () => ["--help"], expect.stringContaining("isolate -z")],
  ])("%s reads and runs none of its files", async (_what, args, stdout) => {
    const before = readdirSync(trap).sort();
    const outcome = await world.isolate(args(), { cwd: trap });
    expect(outcome).toEqual({ code: 0, stdout, stderr: "" });
    expect(existsSync(join(trap, "sprung"))).toBe(false);
    expect(readdirSync(trap).sort()).toEqual(before);
  });

  test("the client opens none of its files", async () => {
    const trace = join(trap, "trace");
    try {
      // Only the client is traced, until it executes the engine.
      const command = ["strace", "-f", "-e", "trace=open,openat,openat2,execve", "-o", trace, program("isolate"), "ps"];
      expect((await run(command, { cwd: trap, env: { ISOLATE_SOCKET: world.socket } })).code).toBe(0);
      const files = ["preload.cjs", ".env", "bunfig.toml", "package.json", "tsconfig.json", "node_modules"];
      const opened = await run([
        "grep",
        "-E",
        files.map((name) => `"([^"]*/)?${name.replace(".", "\\.")}`).join("|"),
        trace,
      ]);
      expect(opened.stdout).toBe("");
    } finally {
      rmSync(trace, { force: true });
    }
  });
});

describe("environment variables of its runtime", () => {
  test.each(["BUN_BE_BUN=1", "BUN_OPTIONS=--preload ./preload.cjs", "BUN_JSC_dumpOptions=1"])(
    "%s changes neither the starter nor the full client",
    async (variable) => {
      const [name = "", value = ""] = variable.split(/=(.*)/s);
      const options = { cwd: trap, env: { [name]: value } };
      const ran = await world.isolate(["-z", world.template, "echo", "ran"], options);
      expect(ran).toEqual({ code: 0, stdout: "ran\n", stderr: "" });
      expect(await world.isolate(["ps", "--json"], options)).toEqual({ code: 0, stdout: "[]\n", stderr: "" });
      expect(existsSync(join(trap, "sprung"))).toBe(false);
    },
  );
});

test("runs with an empty environment, without HOME or PATH", async () => {
  const [first = "", ...argv] = asUser(alice, [
    "env",
    "-i",
    program("isolate"),
    "--socket",
    world.socket,
    "-z",
    world.template,
    "sh",
    "-c",
    "echo $HOME",
  ]);
  const child = spawn(first, argv, { stdio: "pipe", cwd: "/" });
  expect(await finished(child)).toEqual({ code: 0, stdout: "/root\n", stderr: "" });
});

describe("with standard descriptors that are", () => {
  const shell = (redirection: string, ...args: string[]) =>
    run(["sh", "-c", `"$@" ${redirection}`, "sh", program("isolate"), ...args], {
      as: alice,
      env: { ISOLATE_SOCKET: world.socket },
    });

  test.each([
    ["closed: input", "<&-"],
    ["closed: output", ">&-"],
    ["closed: errors", "2>&-"],
    ["closed: all", "<&- >&- 2>&-"],
    ["full", ">/dev/full"],
    ["full, both", ">/dev/full 2>/dev/full"],
  ])("%s, a run has its command's exit code", async (_which, redirection) => {
    expect((await shell(redirection, "-z", world.template, "sh", "-c", "exit 7")).code).toBe(7);
    await world.settled();
  });

  test.each(["<&-", ">&-", "<&- >&- 2>&-", ">/dev/full", ">/dev/full 2>/dev/full"])(
    "%s, a listing, the help and a usage error end",
    async (redirection) => {
      for (const args of [["pool"], ["ps", "--json"], ["--help"]])
        expect([0, 125]).toContain((await shell(redirection, ...args)).code);
      expect((await shell(redirection, "--no-such-option")).code).toBe(125);
    },
  );

  test("a closed descriptor never becomes the lease: the command's output goes nowhere", async () => {
    const { code, stdout } = await shell(
      ">&- 2>&-",
      "-z",
      world.template,
      "sh",
      "-c",
      "echo hello; echo hello >&2; sleep 1; exit 9",
    );
    expect({ code, stdout }).toEqual({ code: 9, stdout: "" });
    await world.settled();
  });

  test("a pipe that nobody reads, end quietly", async () => {
    const { stdout, stderr } = await run(["sh", "-c", '"$0" --help | true; "$0" pool | true', program("isolate")], {
      as: alice,
      env: { ISOLATE_SOCKET: world.socket },
    });
    expect({ stdout, stderr }).toEqual({ stdout: "", stderr: "" });
  });

  test("shared with the caller, are not left non-blocking", async () => {
    const fd = openSync(join(trap, "out"), "w");
    closeSync(fd);
    const flags = await must(
      [
        "sh",
        "-c",
        '{ "$0" -z "$1" true; grep flags /proc/self/fdinfo/1 >&2; } 2>&1 | cat',
        program("isolate"),
        world.template,
      ],
      { as: alice, env: { ISOLATE_SOCKET: world.socket } },
    );
    expect(flags).toMatch(/flags:\s+0[01]*[0-3]?1\n$/);
  });
});

describe("without the full client beside it", () => {
  const alone = (...args: string[]) =>
    run([join(trap, "isolate"), ...args], { as: alice, env: { ISOLATE_SOCKET: world.socket } });

  beforeAll(async () => {
    for (const name of ["isolate", "isolate-init", "isolate-monitor"] as const)
      await must(["cp", "-p", program(name), trap]);
  });

  test("the starter alone does an ordinary run", async () => {
    expect(await alone("-z", world.template, "-v", "X:\u00e9", "sh", "-c", 'echo "$X"; exit 7')).toEqual({
      code: 7,
      stdout: "\u00e9\n",
      stderr: "",
    });
    expect(await alone("--version")).toMatchObject({ code: 0, stdout: expect.stringMatching(/^isolate \d/) });
  });

  test("every other command reports what is missing", async () => {
    for (const args of [
      ["ps"],
      ["-r", world.template],
      ["--help"],
      [],
      ["-z", world.template, "--net=private", "true"],
    ])
      expect(await alone(...args)).toEqual({
        code: 125,
        stdout: "",
        stderr: expect.stringMatching(
          /^isolate: cannot [^\n]*isolate-client is not at [^\n]*\n {2}reinstall isolate\n$/,
        ),
      });
  });

  test("names a full client that cannot be executed", async () => {
    const broken = join(trap, "isolate-client");
    writeFileSync(broken, "no program", { mode: 0o755 });
    try {
      const { code, stderr } = await alone("ps");
      expect({ code, stderr }).toEqual({ code: 125, stderr: expect.stringContaining(`execve ${broken}: ENOEXEC`) });
    } finally {
      rmSync(broken);
    }
  });
});

test.each([
  ["a stray byte, and half of a surrogate pair", "a\\0377\\0355\\0240\\0200b", " 61 ff ed a0 80 62\n"],
  ["the internal form of a stray byte", "\\0355\\0262\\0200", " ed b2 80\n"],
  ["a surrogate pair", "\\0355\\0240\\0200\\0355\\0260\\0200", " ed a0 80 ed b0 80\n"],
])("arguments that are not UTF-8 reach the command unchanged: %s", async (_what, written, bytes) => {
  const echo = `printf %s "$1" | od -An -tx1`;
  const { stdout } = await run(
    [
      "sh",
      "-c",
      `exec "$0" -z "$1" sh -c '${echo}' sh "$(printf '%b' "$2")"`,
      program("isolate"),
      world.template,
      written,
    ],
    { as: alice, env: { ISOLATE_SOCKET: world.socket } },
  );
  expect(stdout).toBe(bytes);
});

test("a run continues if nobody reads isolate's messages", async () => {
  const fifo = join(trap, "fifo");
  const command = `mkfifo "$0"; exec 3<>"$0" 4>"$0" 3<&-; rm "$0"; exec "$@" 2>&4`;
  const words = ["sh", "-c", command, fifo, program("isolate"), "-x", "-z", world.template, "echo", "ran"];
  expect(await run(words, { as: alice, env: { ISOLATE_SOCKET: world.socket } })).toEqual({
    code: 0,
    stdout: "ran\n",
    stderr: "",
  });
});

test.each([300, 400])("reports that memory is short with only %i KiB", async (kibibytes) => {
  const words = ["prlimit", `--data=${kibibytes * 1024}`, program("isolate"), "-z", world.template, "true"];
  expect(await run(words, { as: alice, env: { ISOLATE_SOCKET: world.socket } })).toEqual({
    code: 125,
    stdout: "",
    stderr: "isolate: cannot go on: out of memory\n",
  });
});
