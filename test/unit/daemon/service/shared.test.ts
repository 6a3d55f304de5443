/** How often shared work runs. */
import { setImmediate } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { shared } from "../../../../daemon/service/shared.ts";

test("calls during a run share one more run, and never an earlier one", async () => {
  let runs = 0;
  const ask = shared(async () => {
    const number = ++runs;
    await setImmediate();
    return number;
  });
  const first = ask();
  const others = Array.from({ length: 100 }, ask);
  expect(await first).toBe(1);
  const later = ask();
  expect(new Set(await Promise.all(others))).toEqual(new Set([2]));
  expect(await later).toBeGreaterThan(1);
  await setImmediate();
  expect(runs).toBeLessThanOrEqual(3);
  expect(await ask()).toBe(runs);
});

test("a failed run fails only the calls that share it", async () => {
  let runs = 0;
  const ask = shared(async () => {
    await setImmediate();
    if (++runs === 1) throw new Error("once");
    return runs;
  });
  const [one, other] = await Promise.allSettled([ask(), ask()]);
  expect(one).toMatchObject({ status: "rejected" });
  expect(other).toEqual({ status: "fulfilled", value: 2 });
});
