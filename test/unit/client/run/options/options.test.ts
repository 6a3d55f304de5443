import { describe, expect, test } from "@jest/globals";
import { readIntent } from "../../../../../client/run/options/options.ts";
import type { Intent } from "../../../../../client/run/options/requests.ts";
import { IsolateError } from "../../../../../protocol/errors.ts";
import { runRequest } from "../../../../support/specs.ts";

const words = (line: string): string[] => line.split(" ").filter((word) => word !== "");
const read = (line: string | string[], environment = {}): Intent =>
  readIntent(typeof line === "string" ? words(line) : line, environment);

function refusal(line: string | string[]): { code: string; message: string } {
  try {
    read(line);
  } catch (error) {
    if (error instanceof IsolateError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error(`accepted: ${line}`);
}

function run(line: string | string[]) {
  const intent = read(line);
  if (intent.kind !== "run") throw new Error(intent.kind);
  return intent.run;
}

describe("a run", () => {
  test("a minimal run", () => {
    expect(read("-z p/t true")).toEqual({
      kind: "run",
      socket: "/run/isolate/isolated.sock",
      verbosity: "normal",
      run: runRequest({ root: { template: "p/t", edit: false } }),
    });
  });

  test("options end at the command", () => {
    expect(run("-nz T ls -n -z X --help").command).toEqual(["ls", "-n", "-z", "X", "--help"]);
    expect(run("-z T -- -odd name").command).toEqual(["-odd", "name"]);
    expect(run("-z T - x").command).toEqual(["-", "x"]);
  });

  test("short, clustered, attached and long forms are equivalent", () => {
    const expected = run("-z T -n -p /etc -v A:1 true");
    expect(run("-nzT -p/etc -vA:1 true")).toEqual(expected);
    expect(run("--template T --net host --chdir /etc --env A:1 true")).toEqual(expected);
    expect(run("--template=T --net=host --chdir=/etc --env=A:1 true")).toEqual(expected);
  });

  test("privileges of the command", () => {
    expect(run("-z T --cap-add ALL --cap-drop kill --cap-add x --no-new-userns --read-only true")).toMatchObject({
      noNewUserns: true,
      readOnly: true,
      capabilities: { add: ["ALL", "x"], drop: ["kill"] },
    });
  });

  test("networks", () => {
    expect(run("-z T --net=private true")).toMatchObject({ network: "private", abstractSockets: false });
    expect(run("-z T --net=none true").network).toBe("none");
    expect(run("-nz T --abstract-sockets true")).toMatchObject({ network: "host", abstractSockets: true });
    expect(run("-e chroot -z T true").network).toBe("host");
    expect(run("-e lxc --net=none -z T true").network).toBe("none");
  });

  test.each([
    ["-z T --net apt-get update", "unknown network 'apt-get'; the networks are none, host, private"],
    ["-z T --net= true", "unknown network ''"],
    ["-z T -n --net=none true", "--net is given twice"],
    ["-e lxc -z T --net=private true", "the engine 'lxc' cannot honour --net=private (private network)"],
    ["-e chroot -z T --net=private true", "the engine 'chroot' cannot honour --net=private (private network)"],
    ["-e chroot -z T --net=none true", "the engine 'chroot' cannot honour --net=none (no network)"],
    ["-e lxc -n -z T --abstract-sockets true", "the engine 'lxc' cannot honour --abstract-sockets"],
    ["-z T --abstract-sockets true", "--abstract-sockets goes only with the host's network"],
    ["-z T --net=private --abstract-sockets true", "--abstract-sockets goes only with the host's network"],
  ])("'%s': %s", (line, message) => {
    expect(refusal(line)).toMatchObject({ code: "usage", message: expect.stringContaining(message) });
  });

  test("binds", () => {
    expect(run("-z T -d /a:/b -d c:/d:ro true").binds).toEqual([
      { from: "/a", to: "/b", readOnly: false, text: "/a:/b" },
      { from: "c", to: "/d", readOnly: true, text: "c:/d:ro" },
    ]);
  });

  test.each(["a", ":/b", "a:", "a:b", "a:/b:rw", "a:/b:ro:x", "a:/b:", "", "/a:/b:/c"])("not a bind: '%s'", (text) => {
    expect(refusal(["-z", "T", "-d", text, "true"]).code).toBe("bad-bind");
  });

  test("a variable's value may contain colons and line ends, and may be empty", () => {
    expect(run(["-z", "T", "-v", "DISPLAY::0", "-v", "A:", "-v", "B:x\ny=1", "true"]).variables).toEqual({
      DISPLAY: ":0",
      A: "",
      B: "x\ny=1",
    });
  });

  test.each(["A", ":x", "A=1:x", ""])("not a variable: '%s'", (text) => {
    expect(refusal(["-z", "T", "-v", text, "true"]).code).toBe("bad-environment");
  });

  test.each([
    ["-z T", "missing-command"],
    ["-t D", "missing-command"],
    ["true", "missing-template"],
    ["-n", "missing-template"],
    ["-z T -t D true", "usage"],
    ["-z A -z B true", "usage"],
    ["-z", "usage"],
    ["-z T -p etc true", "usage"],
    ["-z T --wait soon true", "usage"],
    ["-z T --wait -1 true", "usage"],
    ["-t D --wait 1 true", "usage"],
    ["-z T -q -x true", "usage"],
    ["-z T --bogus true", "usage"],
    ["-z T --net=yes true", "usage"],
    ["-z T -Z true", "usage"],
    ["-z T -nZ true", "usage"],
    ["-z T -f true", "usage"],
    ["-z T -s true", "usage"],
    ["-z T --socket= true", "usage"],
  ])("'%s' is %s", (line, code) => {
    expect(refusal(line).code).toBe(code);
  });

  test("an unknown engine is refused before anything else is checked", () => {
    expect(refusal("-e bogus -z T true").message).toContain("unknown engine 'bogus'");
    expect(refusal("-e bogus true").message).toContain("unknown engine 'bogus'");
    expect(run("-e bwrap -z T true").engine).toBe("bwrap");
  });
});

describe("the environment", () => {
  test("only ISOLATE_SOCKET counts", () => {
    expect(read("-z T true", { ISOLATE_SOCKET: "/s" }).socket).toBe("/s");
    expect(read("--socket /o -z T true", { ISOLATE_SOCKET: "/s" }).socket).toBe("/o");
    expect(read("-z T true", { ISOLATE_SOCKET: "" }).socket).toBe("/run/isolate/isolated.sock");
    const hostile = {
      ENGINE: "lxc",
      X11: "1",
      template: "x",
      ROOTFS: "/",
      ISOLATE_ZFSMOUNTPOINT: "/",
      ISOLATE_INIT: "/x",
    };
    expect(read("-z T true", hostile)).toEqual(read("-z T true"));
  });
});

describe("the words that are commands", () => {
  const kind = (line: string): string => {
    const intent = read(line);
    return intent.kind === "command" ? intent.command.name : intent.kind;
  };

  test.each([
    ["pool", "pool"],
    ["ps", "ps"],
    ["-q ps --json", "ps"],
    ["template ls", "template ls"],
    ["template rm x", "template rm"],
    ["template snapshot x", "template snapshot"],
    ["template create x --dir d", "template create"],
    ["template create --dir d x", "template create"],
    ["template edit x", "run"],
    ["template edit -n x apt-get -y upgrade", "run"],
    ["-z T pool", "run"],
    ["-z T ps aux", "run"],
    ["-t D template", "run"],
    ["-z T -- pool", "run"],
    ["-h", "help"],
    ["-z T -h", "help"],
    ["pool -h", "help"],
    ["template --help", "help"],
    ["template create --help", "help"],
    ["--version", "version"],
    ["-V", "version"],
    ["version", "version"],
    ["help", "help"],
    ["help template create", "help"],
    ["template edit --help", "help"],
    ["run --help", "help"],
    ["--help pool", "help"],
    ["-z T version", "run"],
    ["-z T help", "run"],
    ["", "nothing"],
  ])("'%s' is %s", (line, expected) => {
    expect(kind(line)).toBe(expected);
  });

  test.each([
    "pool x",
    "pool --bogus",
    "-n pool",
    "-d a:/b ps",
    "template",
    "template bogus",
    "template rm",
    "template edit",
    "template edit --wait 3 x",
    "template edit -e bwrap x",
    "-n template edit x",
    "template rm a b",
    "template create x",
    "template create x --dir a --tar b",
    "template create --dir a",
    "ps -n",
  ])("'%s' is a usage error", (line) => {
    expect(refusal(line).code).toBe("usage");
  });

  test("a word that is not a command is a program without a root", () => {
    expect(refusal("no-such-command").code).toBe("missing-template");
    expect(refusal("./pool").code).toBe("missing-template");
  });

  test("a command's options", () => {
    expect(read("--socket /s template create -x n --debian trixie")).toEqual({
      kind: "command",
      socket: "/s",
      verbosity: "trace",
      command: {
        name: "template create",
        json: false,
        operand: "n",
        values: { debian: "trixie" },
        source: { kind: "debian", suite: "trixie" },
      },
    });
    expect(read("pool --json")).toMatchObject({ command: { name: "pool", json: true, values: {} } });
    expect(read("log --template p/t --json --since=1h")).toMatchObject({
      command: { name: "log", json: true, values: { since: "1h", template: "p/t" } },
    });
    expect(read("kill debian_1")).toMatchObject({ command: { name: "kill", operand: "debian_1" } });
  });
});

describe("-r", () => {
  test("takes two words, and switches before and after", () => {
    const expected = { template: "p/t", size: "3", fresh: true, reclaimOnly: false };
    for (const line of ["-r p/t 3 -f", "-f -r p/t 3", "-fr p/t 3", "--refill p/t 3 --fresh", "--refill=p/t 3 -f"]) {
      expect(read(line)).toMatchObject({ kind: "refill", refill: expected });
    }
    expect(read("-r T 0 -s")).toMatchObject({ refill: { size: "0", fresh: false, reclaimOnly: true } });
  });

  test("leaves the validation of the count to the daemon", () => {
    for (const size of ["-1", "101", "x", ""]) expect(read(["-r", "T", size])).toMatchObject({ refill: { size } });
  });

  test("without a count, the daemon chooses it", () => {
    const expected = { template: "T", fresh: true, reclaimOnly: false };
    for (const line of ["-r T -f", "-f -r T", "-fr T", "-r T --fresh"]) {
      expect(read(line)).toMatchObject({ refill: expected });
      expect(read(line)).not.toHaveProperty("refill.size");
    }
  });

  test.each(["-r", "-r T 3 true", "-r T 3 -z T", "-r T 3 -n", "-r T 3 -f -s", "-r T 3 -t D"])(
    "'%s' is a usage error",
    (line) => {
      expect(refusal(line).code).toBe("usage");
    },
  );

  test("-r takes no program, even one named like a command", () => {
    expect(refusal("-r T 3 pool").code).toBe("usage");
  });
});

test("template edit takes the options of a run, ends its options at the template, and starts a shell by default", () => {
  const edit = (line: string) => {
    const intent = readIntent(line.split(" "), {});
    return intent.kind === "run" ? intent.run : undefined;
  };
  expect(edit("template edit -n -d a:/b -p /etc p/t apt-get -y --quiet upgrade")).toMatchObject({
    root: { template: "p/t", edit: true },
    network: "host",
    binds: [{ from: "a", to: "/b" }],
    workingDirectory: "/etc",
    command: ["apt-get", "-y", "--quiet", "upgrade"],
  });
  expect(edit("template edit t")).toMatchObject({ command: ["/bin/sh"], network: "none" });
});

describe("screen and sound", () => {
  test("-1 and -2 are switches, and may be clustered", () => {
    expect(run("-z T true")).toMatchObject({ screen: undefined, sound: false });
    expect(run("-1 -z T true")).toMatchObject({ screen: "trusted", sound: false, command: ["true"] });
    expect(run("-12nz T true")).toMatchObject({ screen: "trusted", sound: true, network: "host" });
    expect(run("--x11 --pulse -z T true")).toEqual(run("-1 -2 -z T true"));
  });

  test("the kind of screen is given after =, never as a separate word", () => {
    expect(run("--x11=untrusted -z T true").screen).toBe("untrusted");
    expect(run("-z T --x11 untrusted")).toMatchObject({ screen: "trusted", command: ["untrusted"] });
    for (const wrong of ["--x11=", "--x11=trust", "--x11=untrusted -1", "-1 -1", "-1=untrusted"])
      expect(refusal(`-z T ${wrong} true`).code).toBe("usage");
    expect(refusal("-z T --pulse=x true").code).toBe("usage");
  });

  test.each(["-1", "--x11=untrusted", "-2"])("only bwrap supports %s", (option) => {
    for (const engine of ["chroot", "lxc"]) {
      expect(refusal(`-z T -e ${engine} ${option} true`).message).toContain(`the engine '${engine}' cannot honour`);
    }
  });
});

describe("help", () => {
  const topic = (line: string) => {
    const intent = read(line);
    return intent.kind === "help" ? intent.topic.join(" ") : intent.kind;
  };

  test.each([
    ["--help", ""],
    ["-h", ""],
    ["help", ""],
    ["help pool", "pool"],
    ["help template create", "template create"],
    ["pool --help", "pool"],
    ["log --since 1d -h", "log"],
    ["template --help", "template"],
    ["template create --help", "template create"],
    ["template edit -h", "template edit"],
    ["--help template rm", "template rm"],
    ["run --help", "run"],
    ["-z T --help ls", ""],
  ])("'%s' is about '%s'", (line, expected) => expect(topic(line)).toBe(expected));
});

describe("a word that is not a verb", () => {
  test.each([
    ["pools", "pool"],
    ["dcotor", "doctor"],
    ["ls", "template ls"],
    ["rm x", "template rm"],
    ["-q logs", "log"],
    ["versions", "version"],
  ])("'%s': did you mean '%s'?", (line, meant) => {
    const word = line.split(" ").find((one) => !one.startsWith("-"));
    expect(refusal(line)).toMatchObject({
      code: "usage",
      message: expect.stringContaining(`unknown command '${word}'; did you mean '${meant}'?`),
    });
  });

  test.each(["true", "id", "sh", "bash", "make", "cat x", "env", "top", "-n pools", "-d a:/a pools"])(
    "'%s' is a program without a template",
    (line) => expect(refusal(line).code).toBe("missing-template"),
  );

  test.each(["-z T pools", "-t D rm", "-z T -- logs"])("'%s' is a program in one", (line) => {
    expect(read(line).kind).toBe("run");
  });
});
