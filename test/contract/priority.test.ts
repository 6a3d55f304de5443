/** The daemon's thread comes before others; what it starts does not, the processes that run as a user least of all. */
import { getPriority, setPriority } from "node:os";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { comeFirst, hold, run } from "../../daemon/linux/child-process.ts";

let before: number;
beforeEach(() => {
  before = getPriority();
  comeFirst();
});
afterEach(() => setPriority(before));

test("a program has ordinary priority, and the thread its own afterwards", async () => {
  const own = getPriority();
  expect(own).toBeLessThan(0);
  expect((await run("nice", [])).trim()).toBe("0");
  expect(getPriority()).toBe(own);
});

test("so has one that is held for a user", async () => {
  const held = await hold("cat", [], { uid: 65534, gid: 65534 });
  try {
    expect(getPriority(held.pid)).toBe(0);
  } finally {
    await held.end();
  }
});
