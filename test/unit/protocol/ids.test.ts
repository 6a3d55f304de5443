import { expect, test } from "@jest/globals";
import { readBaseIds } from "../../../protocol/ids.ts";

test("one base alone is used for both; none is undefined", () => {
  expect(readBaseIds({ uid: "100000" })).toEqual({ uid: 100000, gid: 100000 });
  expect(readBaseIds({ gid: "100000" })).toEqual({ uid: 100000, gid: 100000 });
  expect(readBaseIds({ uid: "1", gid: "2147418112" })).toEqual({ uid: 1, gid: 2147418112 });
  expect(readBaseIds({})).toBeUndefined();
});

test.each(["", "-1", "x", "1x", "0x10", "1e5", "1.5", " 1", "1\n", "٣", "2147418113", "4294967295", "99999999999"])(
  "%j is not a base",
  (text) => {
    for (const texts of [{ uid: text }, { gid: text }, { uid: "5", gid: text }])
      expect(() => readBaseIds(texts)).toThrow("it is not a whole number from 1 to 2147418112");
  },
);

test("an id that much software takes for a negative number is refused for that", () => {
  for (const text of ["2147418113", "3000000000", "4294967294"])
    expect(() => readBaseIds({ uid: text })).toThrow("; much software treats the ids above as negative");
  expect(() => readBaseIds({ uid: "4294967295" })).toThrow(/2147418112$/);
});

test("the host's root is not a base", () => {
  for (const text of ["0", "00"]) {
    expect(() => readBaseIds({ uid: text })).toThrow("cannot map IDs with -u '0");
    expect(() => readBaseIds({ uid: "5", gid: text })).toThrow("0 is the host's root, which no sandbox may use");
  }
});

test("the ids that the daemon gives to users are refused, wherever they begin", () => {
  const message = "the ids from 1879048192 to 2147352575 are reserved for users without a range of their own";
  for (const base of [0x70000000 - 65535, 0x70000000, 0x7ffdffff])
    expect(() => readBaseIds({ uid: String(base) })).toThrow(message);
  for (const base of [0x70000000 - 65536, 0x7ffe0000]) expect(readBaseIds({ uid: String(base) })?.uid).toBe(base);
  expect(() => readBaseIds({ gid: "70000" }, { first: 100000, end: 165536 })).toThrow("from 100000 to 165535");
});
