import { expect, test } from "@jest/globals";
import { chooseLatest, fits } from "../../../../../daemon/storage/zfs/latest.ts";
import type { SnapshotName } from "../../../../../protocol/names.ts";

/** `name:bytes written since the snapshot before it`, oldest first. */
function latestOf(snapshots: string, pattern?: string): string | undefined {
  const parsed = snapshots.split(" ").map((text, createtxg) => {
    const [name, written] = text.split(":");
    return { name: `p/t@${name}` as SnapshotName, createtxg, creation: 0, written: Number(written), referenced: 0 };
  });
  return chooseLatest(parsed, pattern)?.name.slice("p/t@".length);
}

test("the newest one with changes", () => {
  expect(latestOf("a:1000 b:500")).toBe("b");
  expect(latestOf("a:1000 b:500 c:0 d:0")).toBe("b");
});

test("the only one, with or without changes", () => {
  expect(latestOf("a:0")).toBe("a");
  expect(latestOf("a:0 b:0")).toBe("a");
});

test("with a pattern, a change in a snapshot between that does not match counts", () => {
  expect(latestOf("release-1:1000 hourly-1:500 release-2:0", "release-*")).toBe("release-2");
  expect(latestOf("release-1:1000 hourly-1:0 release-2:0", "release-*")).toBe("release-1");
});

test("a change after the newest match does not count", () => {
  expect(latestOf("release-1:1000 release-2:0 hourly-1:500", "release-*")).toBe("release-1");
});

test("a change before the first match is part of it", () => {
  expect(latestOf("hourly-1:1000 hourly-2:500 release-1:0", "release-*")).toBe("release-1");
});

test("no snapshot, or no match: none", () => {
  expect(chooseLatest([])).toBeUndefined();
  expect(latestOf("a:1 b:1", "c*")).toBeUndefined();
});

test("a glob knows * and ?, and nothing else is special", () => {
  expect(fits("*", "")).toBe(true);
  expect(fits("release-?", "release-1")).toBe(true);
  expect(fits("release-?", "release-12")).toBe(false);
  expect(fits("a.b", "axb")).toBe(false);
  expect(fits("a.b", "a.b")).toBe(true);
  expect(fits("[ab]+(x)", "[ab]+(x)")).toBe(true);
  expect(fits("b", "abc")).toBe(false);
});
