import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "@jest/globals";
import { projectRoot } from "../../support/project.ts";

const { muslFor } = await import(join(projectRoot, "tools/musl.mjs"));
const scratch = mkdtempSync(join(tmpdir(), "isolate-musl-"));
const at = (...parts: string[]): string => join(scratch, ...parts);
const { MUSL } = process.env;

afterEach(() => {
  if (MUSL === undefined) delete process.env.MUSL;
  else process.env.MUSL = MUSL;
});
afterAll(() => rmSync(scratch, { recursive: true }));

test("Debian's package and the kernel headers", () => {
  delete process.env.MUSL;
  const made = muslFor(at("objects"));
  for (const file of ["include/stdio.h", "lib/libc.a", "lib/crt1.o", "kernel/linux/version.h", "kernel/asm/unistd.h"])
    expect([file, existsSync(join(made, file))]).toEqual([file, true]);
});

test("the directory in MUSL; each library has its own name, and only one is kept", () => {
  mkdirSync(at("musl/lib"), { recursive: true });
  mkdirSync(at("musl/include"));
  process.env.MUSL = at("musl");
  const names = ["one", "two"].map((text) => {
    writeFileSync(at("musl/lib/libc.a"), text);
    const made = muslFor(at("objects"));
    expect(readFileSync(join(made, "lib/libc.a"), "utf8")).toBe(text);
    expect(readdirSync(at("objects")).map((name) => at("objects", name))).toEqual([made]);
    return made;
  });
  expect(names[0]).not.toBe(names[1]);
});

test("without either, the error says what to install or to set", () => {
  delete process.env.MUSL;
  expect(() => muslFor(at("objects"), at("nothing"))).toThrow(
    /^cannot link with musl: there is no \S+\/nothing\/usr\/lib\/\w+-linux-musl\/libc\.a\nInstall the Debian package musl-dev, or set MUSL /,
  );
});
