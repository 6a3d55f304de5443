import { expect, test } from "@jest/globals";
import { isAutomatic, poolNotes } from "../../../../daemon/pools/pool-notes.ts";

const nothing = { template: "p/t", snapshot: "monday", pattern: undefined, below: [], left: [] };

test("there is nothing to say of an ordinary pool", () => expect(poolNotes(nothing)).toEqual([]));

test("what is left is named, and what is below", () => {
  const left = Array.from({ length: 7 }, (_, index) => `cannot destroy the clone '${index}'`);
  const notes = poolNotes({ ...nothing, left, below: ["p/t/home", "p/t/var"] });
  expect(notes).toHaveLength(7);
  expect(notes[5]).toBe("2 more clones could not be destroyed; see 'zfs list -t all'");
  expect(notes[6]).toBe("datasets below 'p/t' are not in its clones: p/t/home, p/t/var");
});

test.each([
  "autosnap_2026-11-28_07:00:01_hourly",
  "repl",
  "zrepl_20261128_070000_000",
  "syncoid_host_2026",
  "Backup-1",
])("%s is a backup tool's, which a pattern may leave out", (snapshot) => {
  expect(isAutomatic(snapshot)).toBe(true);
  expect(poolNotes({ ...nothing, snapshot })).toHaveLength(1);
  expect(poolNotes({ ...nothing, snapshot, pattern: "auto*" })).toEqual([]);
});

test.each(["20261128T070000.000000000Z", "first", "release-1", "reply"])("%s is somebody's", (snapshot) =>
  expect(isAutomatic(snapshot)).toBe(false),
);
