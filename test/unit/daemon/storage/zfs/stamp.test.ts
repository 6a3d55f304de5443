import { expect, test } from "@jest/globals";
import { createStamps, stamp } from "../../../../../daemon/storage/zfs/stamp.ts";

test("a stamp is a time in UTC to the nanosecond", () => {
  expect(stamp(1763764424_123456789n)).toBe("20251121T223344.123456789Z");
});

test("two in one millisecond differ, and a clock that is set back does not reorder them", () => {
  const times = [1763764424123, 1763764424123, 1763764420000, 1763764424124];
  const stamps = createStamps(() => times.shift() ?? 0);
  const made = [stamps.next(), stamps.next(), stamps.next(), stamps.next()];
  expect(made).toEqual([...new Set(made)].sort());
  expect(made[3]).toBe("20251121T223344.124000000Z");
});
