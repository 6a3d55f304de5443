/** tools/sources.mjs without a network: each way to a source, and the error if there is none. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { must, type Outcome, run } from "../../support/process.ts";
import { projectRoot } from "../../support/project.ts";

const tool = join(projectRoot, "tools/sources.mjs");
const { cache, sources } = await import(tool);
const [debian, authors] = sources.quickjs.archives;
const scratch = mkdtempSync(join(tmpdir(), "isolate-sources-"));
const at = (...parts: string[]): string => join(scratch, ...parts);

beforeAll(async () => {
  const given = join(process.env.ISOLATE_SOURCES ?? cache, debian.name);
  mkdirSync(at("source"));
  // The build may have used the other archive, or one that an earlier build has unpacked.
  if (existsSync(given)) return copyFileSync(given, at("source", debian.name));
  await must(["env", `XDG_CACHE_HOME=${at("fetched")}`, process.execPath, "-e", unpackIn(at("any"))]);
  copyFileSync(at("fetched/isolate-build", debian.name), at("source", debian.name));
});
beforeEach(() => {
  for (const name of ["cache", "unpacked"]) rmSync(at(name), { recursive: true, force: true });
});
afterAll(() => rmSync(scratch, { recursive: true }));

const unpackIn = (directory: string): string =>
  `import(${JSON.stringify(tool)}).then((m) => console.log(m.unpacked("quickjs", ${JSON.stringify(directory)})))
   .catch((error) => { console.error(error.message); process.exitCode = 1; })`;

/** Unpacks without a network; apt has no mirror except this directory. */
async function unpack(env: Record<string, string> = {}, mirror?: string): Promise<Outcome> {
  const line = mirror === undefined ? "" : `deb [trusted=yes allow-insecure=yes] file:${mirror} stable main\n`;
  writeFileSync(at("sources.list"), line);
  for (const name of ["state/lists/partial", "apt/archives/partial"]) mkdirSync(at(name), { recursive: true });
  const settings = {
    "Dir::Etc::sourcelist": at("sources.list"),
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::State": at("state"),
    "Dir::Cache": at("apt"),
    "Acquire::Retries": "0",
  };
  writeFileSync(
    at("apt.conf"),
    Object.entries(settings)
      .map(([name, value]) => `${name} "${value}";\n`)
      .join(""),
  );
  const apt = { APT_CONFIG: at("apt.conf") };
  await must(["apt-get", "update"], { env: apt });
  const command = ["unshare", "--net", process.execPath, "-e", unpackIn(at("unpacked"))];
  return run(command, { env: { ...apt, XDG_CACHE_HOME: at("cache"), ...env } });
}

/** Makes a mirror whose pool has this file as QuickJS's source. */
async function makeMirror(name: string, put: (file: string) => void): Promise<string> {
  const architecture = (await must(["dpkg", "--print-architecture"])).trim();
  for (const folder of [join("pool/main", debian.pool), `dists/stable/main/binary-${architecture}`])
    mkdirSync(at(name, folder), { recursive: true });
  writeFileSync(at(name, `dists/stable/main/binary-${architecture}/Packages`), "");
  put(at(name, "pool/main", debian.pool, debian.name));
  return at(name);
}
const unpackedTo = at("unpacked", `quickjs-${sources.quickjs.version}`);

test("the directory in ISOLATE_SOURCES", async () => {
  expect(await unpack({ ISOLATE_SOURCES: at("source") })).toEqual({ code: 0, stdout: `${unpackedTo}\n`, stderr: "" });
  expect(readFileSync(join(unpackedTo, "LICENSE"), "utf8")).toContain("QuickJS");
});

test("a mirror of the machine's apt, and afterwards the cache", async () => {
  const mirror = await makeMirror("mirror", (file) => copyFileSync(at("source", debian.name), file));
  expect(await unpack({}, mirror)).toEqual({ code: 0, stdout: `${unpackedTo}\n`, stderr: "" });
  rmSync(unpackedTo, { recursive: true });
  expect(await unpack()).toEqual({ code: 0, stdout: `${unpackedTo}\n`, stderr: "" });
});

test("none: the error says where it looked and which files it accepts", async () => {
  expect(await unpack()).toEqual({
    code: 1,
    stdout: "",
    stderr:
      `cannot get the source of QuickJS ${sources.quickjs.version}: no mirror of this machine's apt has ${debian.name}, ` +
      `and ${authors.address} did not return ${authors.name}\n` +
      "Get one of these elsewhere, and set ISOLATE_SOURCES to its directory:\n" +
      `${debian.name} (SHA-256 ${debian.sha256})\nor ${authors.name} (SHA-256 ${authors.sha256})\n`,
  });
  expect(existsSync(at("unpacked"))).toBe(false);
});

test("an archive with other content is refused from every origin", async () => {
  const mirror = await makeMirror("false", (file) => writeFileSync(file, "other"));
  writeFileSync(at("false", debian.name), "other");
  const given = await unpack({ ISOLATE_SOURCES: at("false") });
  expect(given.stderr).toMatch(
    new RegExp(
      `^cannot use ${at("false", debian.name)} from ISOLATE_SOURCES: its SHA-256 is \\w{64} instead of ${debian.sha256}`,
    ),
  );
  const mirrored = await unpack({}, mirror);
  expect(mirrored.stderr).toMatch(/^cannot get the source of QuickJS /);
  expect([given.code, mirrored.code]).toEqual([1, 1]);
});

test("a directory in ISOLATE_SOURCES without an archive is an error, not ignored", async () => {
  mkdirSync(at("empty"));
  expect(await unpack({ ISOLATE_SOURCES: at("empty") })).toMatchObject({
    code: 1,
    stderr: `cannot use ISOLATE_SOURCES: ${at("empty")} contains neither ${debian.name} nor ${authors.name}\n`,
  });
});
