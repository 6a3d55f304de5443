/**
 * The daemon's thread has a raised priority; the programs that it starts do not, above all those that run as a user.
 */
import { getPriority, setPriority } from "node:os";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { comeFirst, hold, run } from "../../daemon/linux/child-process.ts";

let before: number;
beforeEach(() => {
  before = getPriority();
  comeFirst();
});
afterEach(() => setPriority(before));

test("a program has ordinary priority, and the thread keeps its own", async () => {
  const own = getPriority();
  expect(own).toBeLessThan(0);
  expect((await run("nice", [])).trim()).toBe("0");
  expect(getPriority()).toBe(own);
});

test("a program that is held for a user has ordinary priority", async () => {
  const held = await hold("cat", [], { uid: 65534, gid: 65534 });
  try {
    expect(getPriority(held.pid)).toBe(0);
  } finally {
    await held.end();
  }
});
