import { describe, expect, test } from "@jest/globals";
import { readQuery } from "../../../../../client/full/commands/log.ts";
import { bytesAsOf, duration, localTime, readMoment, size } from "../../../../../client/full/commands/quantities.ts";

const now = Date.parse("2026-11-22T12:00:00.000Z");

test.each([
  [0, "0s"],
  [999, "0s"],
  [59_000, "59s"],
  [61_000, "1m 1s"],
  [3_600_000, "1h"],
  [90_061_000, "1d 1h"],
  [-5000, "0s"],
])("%d ms is %s", (milliseconds, text) => {
  expect(duration(milliseconds)).toBe(text);
});

test("a size that was counted some time ago says so", () => {
  expect(bytesAsOf(2048, new Date(now - 1000).toISOString(), now)).toBe("2.0 KiB");
  expect(bytesAsOf(2048, new Date(now - 61_000).toISOString(), now)).toBe("2.0 KiB, 1m 1s ago");
  expect([bytesAsOf(null, "x", now), bytesAsOf(1, null, now)]).toEqual([null, null]);
  expect(size(0)).toBe("0 B");
});

describe("a time", () => {
  test("is a duration before now, or a date in the writer's time zone", () => {
    expect(readMoment("90m", "--since", now)).toBe("2026-11-22T10:30:00.000Z");
    expect(readMoment("7d", "--since", now)).toBe("2026-11-15T12:00:00.000Z");
    for (const text of ["2026-11-30", "2026-11-30 00:00", "2026-11-30T00:00:00"]) {
      expect(localTime(readMoment(text, "--since", now))).toBe("2026-11-30 00:00:00");
    }
  });

  test.each(["", "5x", "-5m", "yesterday", "2026-02-30", "2026-11-31", "2026-11-30 25:00", "1e3s", "2026-11-30Z"])(
    "is not '%s'",
    (text) => {
      expect(() => readMoment(text, "--since", now)).toThrow("--since needs a time");
    },
  );
});

describe("the log's options", () => {
  test("become a query", () => {
    expect(readQuery({}, now)).toEqual({ limit: "50" });
    expect(readQuery({ user: "ann", template: "t", end: "running", since: "1h", limit: "10000" }, now)).toEqual({
      user: "ann",
      template: "t",
      end: "running",
      since: "2026-11-22T11:00:00.000Z",
      limit: "10000",
    });
  });

  test.each([{ end: "dead" }, { limit: "0" }, { limit: "10001" }, { limit: "x" }, { user: "" }, { until: "soon" }])(
    "refuse %j",
    (values) => {
      expect(() => readQuery(values as unknown as Record<string, string>, now)).toThrow("cannot understand");
    },
  );
});
