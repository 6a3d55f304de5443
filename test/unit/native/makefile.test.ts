/** native/Makefile: which objects are rebuilt. */
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { must, run } from "../../support/process.ts";
import { projectRoot } from "../../support/project.ts";

const { muslFor } = await import(join(projectRoot, "tools/musl.mjs"));
const scratch = mkdtempSync(join(tmpdir(), "isolate-make-"));
const object = join(scratch, "own/native/init/machine-id.o");
const make = (...words: string[]): string[] => [
  ...["env", "-C", projectRoot, "make", "-s", "-f", "native/Makefile"],
  ...[`OUT=${scratch}`, `OBJ=${scratch}`, `MUSL=${muslFor(join(scratch, "musl"))}`, ...words, object],
];
/** Whether the object would be rebuilt if this file were new. */
const madeAgain = async (file: string): Promise<boolean> => (await run(make("-q", "-W", file))).code === 1;

beforeAll(async () => {
  await must(make());
});
afterAll(() => rmSync(scratch, { recursive: true }));

test.each(["native/init/machine-id.c", "native/init/machine-id.h", "native/init/mount-id.h", "native/Makefile"])(
  "an object is made again for a new %s, which it was made of",
  async (file) => {
    expect(await madeAgain(file)).toBe(true);
  },
);

test.each(["native/init/landlock.h", "native/init/mount-id.c"])("it is not for a new %s", async (file) => {
  expect(await madeAgain(file)).toBe(false);
});

test("a source or header that has moved does not stop the build", async () => {
  const dependencies = object.replace(/o$/, "d");
  appendFileSync(dependencies, `${object}: gone/old.c gone/old.h\ngone/old.h:\n`);
  await must(make());
  expect((await run(make("-q"))).code).toBe(0);
});
