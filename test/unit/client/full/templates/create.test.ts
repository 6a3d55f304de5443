/** Uses a server in place of the daemon: checks what arrives, and that incomplete content never looks complete. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { type CreateTemplateOptions, createTemplate } from "../../../../../client/full/templates/create.ts";
import { openSource, type TemplateSource } from "../../../../../client/full/templates/sources.ts";

let directory: string;
let server: Server;
let received: { url: string; type: string | undefined; whole: boolean; body: Buffer }[];
let answer: (request: IncomingMessage) => { status: number; body: object } | "hang up" | undefined;
let path: string | undefined;

beforeEach(async () => {
  path = process.env.PATH;
  directory = mkdtempSync(join(tmpdir(), "isolate-test-"));
  // An aborted request of the previous test may still be recorded; it must not count here.
  const noted: typeof received = [];
  received = noted;
  answer = () => undefined;
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    const note = (whole: boolean) =>
      noted.push({
        url: `${request.method} ${request.url}`,
        type: request.headers["content-type"],
        whole,
        body: Buffer.concat(chunks),
      });
    const early = answer(request);
    if (early === "hang up") request.once("data", () => request.socket.destroy());
    else if (early) response.writeHead(early.status).end(JSON.stringify(early.body));
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("error", () => note(false));
    request.on("end", () => {
      note(true);
      if (!early) response.end(JSON.stringify({ snapshot: "debian@1" }));
    });
  });
  await new Promise<void>((resolve) => server.listen(socket(), resolve));
});

afterEach(async () => {
  process.env.PATH = path;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(directory, { recursive: true });
});

const socket = (): string => join(directory, "socket");
const at = (name: string): string => join(directory, name);

async function create(source: TemplateSource, more: Partial<CreateTemplateOptions> = {}) {
  const { summary } = await createTemplate({
    socket: socket(),
    template: "debian",
    source,
    uid: 0,
    quiet: true,
    terminal: { write: () => {} },
    ...more,
  });
  return summary;
}

/** Creates an executable of that name that is found before all others. */
function fake(program: string, script: string): void {
  mkdirSync(at("bin"), { recursive: true });
  writeFileSync(at(`bin/${program}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  process.env.PATH = `${at("bin")}:${path}`;
}

function archive(): Buffer {
  mkdirSync(at("root/etc"), { recursive: true });
  writeFileSync(at("root/etc/hostname"), "inside\n");
  execFileSync("tar", ["-C", at("root"), "-cf", at("root.tar"), "."]);
  return readFileSync(at("root.tar"));
}

describe("a directory", () => {
  test("arrives as a complete tar with its files", async () => {
    archive();
    expect(await create({ kind: "directory", path: at("root") })).toMatch(/^created debian@1 from .*root: .* MiB in /);
    expect(received).toHaveLength(1);
    expect(received[0]).toMatchObject({
      url: "POST /v1/templates?template=debian",
      type: "application/x-tar",
      whole: true,
    });
    const listing = execFileSync("tar", ["-tf", "-"], { input: received[0]?.body, encoding: "utf8" });
    expect(listing.split("\n")).toEqual(expect.arrayContaining(["./", "./etc/", "./etc/hostname"]));
  });

  test("is asked of tar with ids, attributes, access lists and one file system", async () => {
    fake("tar", `echo "$@" > ${at("arguments")}; readlink /proc/self/fd/3 > ${at("directory")}; echo content`);
    mkdirSync(at("root"));
    await create({ kind: "directory", path: at("root") });
    const words = readFileSync(at("arguments"), "utf8").trim().split(" ");
    const kept = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--one-file-system"];
    expect(words).toEqual(["-C", "/proc/self/fd/3", "--format=pax", ...kept, "-cf", "-", "."]);
    expect(readFileSync(at("directory"), "utf8")).toBe(`${at("root")}\n`);
  });

  test("is the one that was looked at, whatever is at its path afterwards", async () => {
    archive();
    const source = await openSource({ kind: "directory", path: at("root") });
    renameSync(at("root"), at("gone"));
    symlinkSync("/usr/share/doc", at("root"));
    const { stream } = await source.start(() => {});
    const input = Buffer.concat(await stream.toArray());
    expect(execFileSync("tar", ["-tf", "-"], { input, encoding: "utf8" })).toContain("./etc/hostname\n");
  });

  test("that tar cannot read completely never reaches its end", async () => {
    fake("tar", "head -c 300000 /dev/zero; echo 'tar: ./x: file changed as we read it' >&2; exit 1");
    mkdirSync(at("root"));
    await expect(create({ kind: "directory", path: at("root") })).rejects.toMatchObject({
      code: "bad-source",
      message: `cannot make a template from ${at("root")}: tar: ./x: file changed as we read it`,
    });
    await arrived();
    expect(received[0]?.whole).toBe(false);
  });

  test("that is not a directory is refused before the daemon is asked", async () => {
    writeFileSync(at("file"), "");
    await expect(create({ kind: "directory", path: at("file") })).rejects.toMatchObject({ code: "bad-source" });
    await expect(create({ kind: "directory", path: at("absent") })).rejects.toThrow(
      "absent: no such file or directory",
    );
    expect(received).toEqual([]);
  });
});

describe("an archive", () => {
  test("is the file that was looked at, whatever is at its path afterwards", async () => {
    const plain = archive();
    const source = await openSource({ kind: "tar", path: at("root.tar") });
    renameSync(at("root.tar"), at("gone"));
    symlinkSync("/etc/passwd", at("root.tar"));
    const { stream } = await source.start(() => {});
    expect(Buffer.concat(await stream.toArray())).toEqual(plain);
  });

  test.each(["plain", "gzip", "xz", "zstd", "bzip2"])("%s arrives as plain tar", async (compression) => {
    const plain = archive();
    const content = compression === "plain" ? plain : execFileSync(compression, ["-c"], { input: plain });
    // The content decides, not the name.
    writeFileSync(at("archive"), content);
    await create({ kind: "tar", path: at("archive") });
    expect(received[0]?.whole).toBe(true);
    expect(received[0]?.body.equals(plain)).toBe(true);
  });

  test("that is truncated never reaches its end", async () => {
    writeFileSync(at("archive"), execFileSync("gzip", ["-c"], { input: Buffer.alloc(100_000, "x") }).subarray(0, 60));
    await expect(create({ kind: "tar", path: at("archive") })).rejects.toThrow(/unexpected end of file/);
    await arrived();
    expect(received.map(({ whole }) => whole)).toEqual([false]);
  });

  test("that is empty or absent is refused", async () => {
    writeFileSync(at("archive"), "");
    await expect(create({ kind: "tar", path: at("archive") })).rejects.toThrow(/: it is empty$/);
    await expect(create({ kind: "tar", path: at("absent") })).rejects.toThrow(/: no such file or directory$/);
    await expect(create({ kind: "tar", path: directory })).rejects.toThrow(/use --dir$/);
  });
});

describe("Debian", () => {
  test("is made by mmdebstrap, and its stages are shown", async () => {
    const shown: string[] = [];
    fake("mmdebstrap", `echo "$@" > ${at("arguments")}; echo 'I: extracting archives...' >&2; sleep 0.2; echo content`);
    await create(
      { kind: "debian", suite: "bookworm" },
      { quiet: false, terminal: { write: (text) => shown.push(text) } },
    );
    expect(received[0]).toMatchObject({ whole: true, body: Buffer.from("content\n") });
    expect(readFileSync(at("arguments"), "utf8")).toMatch(/^--variant=minbase .* bookworm -( deb .*)?\n$/s);
    expect(shown.join("")).toContain("Debian bookworm: extracting archives, 0.");
  });

  test("if it fails, the body never ends and the error has mmdebstrap's reason", async () => {
    fake("mmdebstrap", "echo some; echo 'E: no such suite' >&2; echo 'E: mmdebstrap failed to run' >&2; exit 25");
    await expect(create({ kind: "debian", suite: "bookworm" })).rejects.toMatchObject({
      message: "cannot make a template from Debian bookworm: E: no such suite",
    });
    await arrived();
    expect(received[0]?.whole).toBe(false);
  });

  test("is ended when the daemon refuses", async () => {
    answer = () => ({ status: 409, body: { code: "template-exists", message: "cannot: it exists", hint: "" } });
    fake("mmdebstrap", `trap 'echo cleaned > ${at("cleaned")}; exit 1' TERM; touch ${at("started")}; sleep 60 & wait`);
    const started = Date.now();
    await expect(create({ kind: "debian", suite: "bookworm" })).rejects.toMatchObject({ code: "template-exists" });
    expect(Date.now() - started).toBeLessThan(10_000);
    // It was started before the refusal arrived, or never.
    if (existsSync(at("started"))) expect(existsSync(at("cleaned"))).toBe(true);
  });

  test.each(["", "-x", "../x", "a b", "Bookworm", "x".repeat(65), "a;b", "--help"])(
    "refuses the suite '%s'",
    async (suite) => {
      fake("mmdebstrap", "echo content");
      await expect(create({ kind: "debian", suite })).rejects.toMatchObject({ code: "bad-source" });
      expect(received).toEqual([]);
    },
  );

  test("without mmdebstrap, the error names its package", async () => {
    mkdirSync(at("bin"));
    process.env.PATH = at("bin");
    await expect(create({ kind: "debian", suite: "bookworm" })).rejects.toMatchObject({
      code: "missing-program",
      hint: "install it: apt-get install mmdebstrap",
    });
  });
});

describe("before anything is started", () => {
  test("a caller other than root is refused", async () => {
    await expect(create({ kind: "directory", path: directory }, { uid: 1000 })).rejects.toMatchObject({
      code: "not-root",
      message: "cannot create a template: only root may",
    });
    expect(received).toEqual([]);
  });

  test("a bad name is refused", async () => {
    await expect(create({ kind: "directory", path: directory }, { template: "../x" })).rejects.toMatchObject({
      code: "bad-name",
    });
    expect(received).toEqual([]);
  });

  test("a daemon that does not run is detected", async () => {
    fake("tar", `touch ${at("started")}`);
    const failing = create({ kind: "directory", path: directory }, { socket: at("nobody") });
    await expect(failing).rejects.toMatchObject({ code: "not-running" });
    expect(() => readFileSync(at("started"))).toThrow();
  });
});

test("a daemon that goes away is an error, not a template", async () => {
  answer = () => "hang up";
  fake("tar", "cat /dev/zero");
  await expect(create({ kind: "directory", path: directory })).rejects.toMatchObject({ code: "lost-daemon" });
});

async function arrived(): Promise<void> {
  for (let tries = 0; received.length === 0 && tries < 200; tries++)
    await new Promise((resolve) => setTimeout(resolve, 10));
}
