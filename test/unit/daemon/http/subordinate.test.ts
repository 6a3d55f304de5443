import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { createIsSubordinate } from "../../../../daemon/http/subordinate.ts";

const rangeBase = 0x70000000;
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "isolate-subordinate-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function of(given: ReadonlyMap<number, number>, base = rangeBase) {
  const [subuidFile, subgidFile] = [join(directory, "subuid"), join(directory, "subgid")];
  writeFileSync(subuidFile, "ann:200000:65536\n");
  writeFileSync(subgidFile, "ann:300000:65536\n");
  return createIsSubordinate({ subuidFile, subgidFile, rangeBase: base, given: () => given, clock: () => 0 });
}

test("an id that is delegated to a user", () => {
  const isSubordinate = of(new Map());
  expect(isSubordinate({ uid: 200000, gid: 1 })).toBe(true);
  expect(isSubordinate({ uid: 265535, gid: 1 })).toBe(true);
  expect(isSubordinate({ uid: 1, gid: 300000 })).toBe(true);
  expect(isSubordinate({ uid: 300000, gid: 200000 })).toBe(false);
  expect(isSubordinate({ uid: 265536, gid: 1 })).toBe(false);
});

test("an id that the daemon allocated, from then on, and no other id above", () => {
  const given = new Map<number, number>();
  const isSubordinate = of(given);
  const [first, last] = [rangeBase + 65536, rangeBase + 2 * 65536 - 1];
  for (const id of [first, last]) expect(isSubordinate({ uid: id, gid: 1 })).toBe(false);
  given.set(1000, first);
  for (const id of [first, last]) {
    expect(isSubordinate({ uid: id, gid: 1 })).toBe(true);
    expect(isSubordinate({ uid: 1, gid: id })).toBe(true);
  }
  for (const id of [first - 1, last + 1, 1_885_580_785, 2_147_483_648, 4_294_967_294])
    expect(isSubordinate({ uid: id, gid: id })).toBe(false);
});

test("no id of a range of an earlier ids.base, as an account may have it", () => {
  const given = new Map([[1000, rangeBase]]);
  expect(of(given)({ uid: rangeBase + 5, gid: 1 })).toBe(true);
  expect(of(given, rangeBase + 65536)({ uid: rangeBase + 5, gid: 1 })).toBe(false);
});
