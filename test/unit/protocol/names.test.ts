import { describe, expect, test } from "@jest/globals";
import { isCloneId, makeCloneId, nearNames, parseTemplateName, type TemplateName } from "../../../protocol/names.ts";

describe("a template's name", () => {
  test.each(["debian", "rpool/isolate/debisl", "a.b-c_d:e", "0/1", "p/a b", "p/-b/_c"])("may be %s", (name) =>
    expect(parseTemplateName(name)).toBe(name),
  );
  test.each([
    "../x",
    "a b",
    "-x",
    "x@y",
    "",
    "a//b",
    "/a",
    "a/",
    "a/../b",
    "a/./b",
    ".",
    "a\n",
    "a\0b",
    "ü",
    "-a/b",
    "a b/c",
    "a/ b",
    "a/b ",
    "a/.b",
    "x".repeat(300),
    "$(id)",
  ])("may not be %j", (name) => expect(() => parseTemplateName(name)).toThrow(/^cannot use the name '/));
  test("is quoted without control characters and shortened when refused", () => {
    expect(() => parseTemplateName(`\x1b[31m${"y".repeat(500)}`)).toThrow(/^cannot use the name '\?\[31my{75}'/);
  });
});

describe("a clone's name", () => {
  test("is the template's last part and nanoseconds", () => {
    const id = makeCloneId("rpool/isolate/debisl" as TemplateName, 1_700_000_000_000_000_001n);
    expect(id).toBe("debisl_1700000000000000001");
    expect(isCloneId(id)).toBe(true);
  });
  test("may hold what the template's does", () => {
    const id = makeCloneId("rpool/-my images" as TemplateName, 1_700_000_000_000_000_001n);
    expect(isCloneId(id)).toBe(true);
  });
  test.each(["debisl", "../x_1700000000000000001", "a/b_1700000000000000001", "_1700000000000000001", "x_17"])(
    "is not %s",
    (name) => expect(isCloneId(name)).toBe(false),
  );
});

describe("near names", () => {
  const known = ["rpool/isolate/debisl", "rpool/isolate/ubuntu", "debian"];
  test("are found despite a typo", () =>
    expect(nearNames("rpool/isolate/debils", known)[0]).toBe("rpool/isolate/debisl"));
  test("are found without the pool", () => expect(nearNames("debisl", known)[0]).toBe("rpool/isolate/debisl"));
  test("are only those that end with it", () => {
    const several = ["tank/a/debisl", "rpool/isolate/debisl", "rpool/isolate/debis2"];
    expect(nearNames("debisl", several)).toEqual(["tank/a/debisl", "rpool/isolate/debisl"]);
    expect(nearNames("x/debisl", several)).toContain("rpool/isolate/debis2");
  });
  test("are none for an unrelated name", () => expect(nearNames("windows", known)).toEqual([]));
});
