/**
 * Root uses directories in which another user can write: root's sandbox gets the directory that root checked, even if
 * that user replaces the path afterwards. The replacement happens between root's check and its use: when root starts
 * unshare(1) for the ids of a `-t` directory.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { root, run } from "../support/process.ts";
import { program, projectRoot } from "../support/project.ts";

/** Writable by everyone; root names `root` and `bound` in it. */
let scratch: string;
/** Root's own directory, which no other user can read. */
let victim: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "isolate-exchanged-"));
  chmodSync(scratch, 0o755);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function makeRoot(directory: string): void {
  for (const name of ["bin", "proc", "dev", "sys", "tmp", "home", "mnt"])
    mkdirSync(join(directory, name), { recursive: true });
  copyFileSync(join(projectRoot, "dist/test/try-syscall"), join(directory, "bin/try"));
}

beforeEach(() => {
  for (const name of ["others", "victim"]) rmSync(join(scratch, name), { recursive: true, force: true });
  victim = join(scratch, "victim");
  makeRoot(join(scratch, "others/root"));
  mkdirSync(join(scratch, "others/bound"));
  makeRoot(victim);
  chmodSync(join(scratch, "others"), 0o777);
  for (const one of ["others/root", "others/bound", "victim"]) chmodSync(join(scratch, one), 0o700);
});

/** Runs isolate where `exchange`, shell, is run as the nobody that unshare(1) is started as. */
async function isolate(exchange: string, args: readonly string[]) {
  const real = join(scratch, "unshare");
  copyFileSync("/usr/bin/unshare", real);
  const wrapper = join(scratch, "wrapper");
  writeFileSync(wrapper, `#!/bin/sh\ncd ${scratch}/others && ${exchange}\nexec ${real} "$@"\n`);
  for (const one of [real, wrapper]) chmodSync(one, 0o755);
  const mounted = `mount --bind ${wrapper} /usr/bin/unshare; exec "$@"`;
  const command = ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", mounted, "sh", program("isolate")];
  return run([...command, "--socket=/nowhere", ...args], { as: root });
}

const at = (path: string): string => join(scratch, path);

describe.each(["bwrap", "chroot"])("with the engine %s", (engine) => {
  test.each([
    ["a link", "mv root gone; ln -s VICTIM root"],
    ["another directory", "mv root gone; mkdir -p root/bin root/proc root/dev root/tmp root/home root/sys root/etc"],
  ])("%s in the place of -t's directory leads nowhere else", async (_, exchange) => {
    const run = ["-q", "-e", engine, "-t", at("others/root"), "/bin/try", "create", "/made"];
    const { stdout, stderr, code } = await isolate(exchange.replaceAll("VICTIM", victim), run);
    expect({ stdout, stderr, code }).toMatchObject({ stdout: "OK\n", code: 0 });
    expect(existsSync(join(victim, "made"))).toBe(false);
    expect(existsSync(at("others/gone/made"))).toBe(true);
  });
});

test("a link that replaces a -d directory does not lead elsewhere", async () => {
  const args = ["-t", at("others/root"), "-d", `${at("others/bound")}:/mnt`];
  const exchange = `mv bound gone; ln -s ${victim} bound`;
  const { stdout, stderr, code } = await isolate(exchange, [...args, "/bin/try", "create", "/mnt/made"]);
  expect({ stdout, stderr, code }).toMatchObject({ stdout: "OK\n", code: 0 });
  expect(existsSync(join(victim, "made"))).toBe(false);
  expect(existsSync(at("others/gone/made"))).toBe(true);
});
