import { describe, expect, test } from "@jest/globals";
import { reservedRanges, whatIsWrongWithBase } from "../../../../daemon/idmap/reserved.ts";
import { givenIds } from "../../../../protocol/ids.ts";

const wrong = (base: number, loginDefs = "") => whatIsWrongWithBase(base, reservedRanges(loginDefs));

test("nobody else allocates the default ids", () => {
  expect(wrong(givenIds.first)).toBeUndefined();
  expect(wrong(givenIds.end - 65536)).toBeUndefined();
});

describe("of others are", () => {
  test.each([
    ["the ids that useradd delegates", 100_000, "from 100000 to 600100000 .*useradd allocates them .*SUB_UID_MIN"],
    ["a range that only ends there", 65_536, "SUB_UID_MIN"],
    ["systemd's containers", 1_800_000_000, "from 524288 to 1879048191 .*systemd-nspawn"],
    ["the last of these", 0x6fffffff, "systemd-nspawn"],
    ["systemd's foreign ids", 0x7ffe0000 - 65535, "foreign"],
  ])("%s", (_, base, why) => expect(wrong(base)).toMatch(new RegExp(`^ids.base is ${base}, and the ids .*${why}`)));
});

describe("login.defs", () => {
  const base = givenIds.first;
  test.each([
    ["users", "UID_MIN 1000\nUID_MAX\t\t2000000000", "UID_MIN and UID_MAX"],
    ["groups", " GID_MAX 2000000000 # more", "GID_MIN and GID_MAX"],
    ["delegated users", "SUB_UID_MAX 0x7fffffff", "SUB_UID_MIN and SUB_UID_MAX"],
    ["delegated groups", "SUB_GID_MAX 4000000000\n", "SUB_GID_MIN and SUB_GID_MAX"],
    ["the last line", "UID_MAX 60000\nUID_MAX 2000000000", "UID_MIN and UID_MAX"],
  ])("says how far %s go", (_, text, keys) => expect(wrong(base, text)).toContain(`(${keys} in /etc/login.defs)`));

  test.each([
    ["a comment", "#UID_MAX 2000000000"],
    ["another key", "SYS_UID_MAX 2000000000\nXUID_MAX 2000000000"],
    ["not a number", "UID_MAX many"],
    ["none are delegated", "SUB_UID_COUNT 0\nSUB_UID_MAX 2000000000\nSUB_GID_COUNT 0\nSUB_GID_MAX 2000000000"],
    ["a start past the end", "UID_MIN 3000000000\nUID_MAX 2000000000"],
  ])("is not misread: %s", (_, text) => expect(wrong(base, text)).toBeUndefined());
});
