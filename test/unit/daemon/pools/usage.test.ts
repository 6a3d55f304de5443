import { expect, test } from "@jest/globals";
import type { Logger } from "pino";
import { createUsage } from "../../../../daemon/pools/usage.ts";
import type { StorageDriver, Usage } from "../../../../daemon/storage/driver.ts";
import type { Storage } from "../../../../daemon/storage/storage.ts";
import type { CloneId, TemplateName } from "../../../../protocol/names.ts";

const template = "t" as TemplateName;
const id = "t_1" as CloneId;

function setUp(count: () => Promise<number>) {
  let now = 1000;
  let asked = 0;
  const usage = async (): Promise<Usage> => {
    asked++;
    const bytes = await count();
    return { templates: new Map([[template, bytes]]), clones: new Map([[id, bytes]]) };
  };
  const driver = { name: "overlay", usage } as unknown as StorageDriver;
  const storage = { drivers: () => [driver], nameFor: () => "overlay" } as unknown as Storage;
  const log = { warn: () => undefined } as unknown as Logger;
  const figures = createUsage({ storage, templates: () => [template], clock: () => now, log });
  return {
    read: () => figures.read(),
    asked: () => asked,
    pass: (milliseconds: number) => {
      now += milliseconds;
    },
  };
}

test("an answer includes figures that are counted quickly", async () => {
  const it = setUp(async () => 5);
  const figures = await it.read();
  expect([figures.ofTemplate(template), figures.ofClone(template, id)]).toEqual([5, 5]);
  expect(figures.countedAt(template)).toBe("1970-01-01T00:00:01.000Z");
});

test("an answer does not wait for slow figures, but the next one has them", async () => {
  let done: (bytes: number) => void = () => undefined;
  const it = setUp(() => new Promise((resolve) => (done = resolve)));
  const first = await it.read();
  expect([first.ofTemplate(template), first.countedAt(template)]).toEqual([undefined, null]);
  await it.read();
  expect(it.asked()).toBe(1); // never twice at once
  it.pass(3000);
  done(7);
  await new Promise(setImmediate);
  expect((await it.read()).ofTemplate(template)).toBe(7);
  // It took 3 s, so it pauses for 60 s.
  it.pass(59_000);
  await it.read();
  expect(it.asked()).toBe(1);
  it.pass(2000);
  await it.read();
  expect(it.asked()).toBe(2);
});

test("a failure keeps the earlier figures, and is not repeated immediately", async () => {
  let fails = false;
  const it = setUp(async () => {
    if (fails) throw new Error("no");
    return 5;
  });
  await it.read();
  fails = true;
  it.pass(2000);
  expect((await it.read()).countedAt(template)).toBe("1970-01-01T00:00:01.000Z");
  it.pass(2000);
  await it.read();
  expect(it.asked()).toBe(2);
});
