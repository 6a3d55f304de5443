import { describe, expect, test } from "@jest/globals";
import { type MapInput, parseDelegated, planMap } from "../../../../daemon/idmap/ranges.ts";

const base = 0x70000000;
const plan = (input: Partial<Omit<MapInput, "subuid" | "subgid">> & { subuid?: string; subgid?: string }) =>
  planMap({
    caller: input.caller ?? { uid: 1000, gid: 100, name: "alice" },
    subuid: parseDelegated(input.subuid ?? ""),
    subgid: parseDelegated(input.subgid ?? ""),
    given: input.given ?? new Map(),
    base: input.base ?? base,
    reserved: input.reserved ?? [],
    taken: input.taken ?? new Map(),
  });

test("lines of subuid(5) are read, others are skipped", () => {
  const text = "alice:100000:65536\n\n# note\n1000:200000:65535\nbob:x:1\nbob:1\n:5:5\na:1:2:3\nlast:4294967295:9";
  expect(parseDelegated(text)).toEqual([
    { who: "alice", start: 100000, count: 65536 },
    { who: "1000", start: 200000, count: 65535 },
    { who: "last", start: 4294967295, count: 9 },
  ]);
});

describe("a user with ranges", () => {
  test("is container id 0, and the ranges are the other ids", () => {
    expect(plan({ subuid: "bob:1:99999\nalice:100000:65536", subgid: "alice:300000:65535" })).toEqual({
      uid: 1000,
      gid: 100,
      uidMap: "0 1000 1\n1 100000 65535\n",
      gidMap: "0 100 1\n1 300000 65535\n",
      give: undefined,
    });
  });

  test("is also found by number, but not by another user's name", () => {
    expect(plan({ subuid: "1000:100000:65535", subgid: "1000:100000:65535" }).give).toBeUndefined();
    expect(plan({ subuid: "100:100000:65535\nalic:200000:65535", subgid: "alice:100000:65535" }).uidMap).toBe(
      `0 1000 1\n1 ${base} 65535\n`,
    );
    // Without a login name, no name matches.
    expect(plan({ caller: { uid: 1000, gid: 100 }, subuid: "undefined:100000:65535", subgid: "" }).give).toBe(base);
  });

  test.each([
    ["too small", "alice:100000:65534"],
    ["containing host root", "alice:0:65536"],
    ["containing the caller's own id, which the kernel refuses", "alice:1:70000"],
    ["reaching past the last id", "alice:4294901761:65535"],
  ])("does not get one %s", (_, line) => {
    expect(plan({ subuid: line, subgid: "alice:300000:65536" }).uidMap).toBe(`0 1000 1\n1 ${base} 65535\n`);
    expect(plan({ subuid: `${line}\nalice:500000:65536`, subgid: "alice:300000:65536" }).uidMap).toBe(
      "0 1000 1\n1 500000 65535\n",
    );
  });

  test("but without one for groups gets the daemon's range for groups only", () => {
    const { uidMap, gidMap, give } = plan({ subuid: "alice:100000:65536" });
    expect([uidMap, gidMap, give]).toEqual(["0 1000 1\n1 100000 65535\n", `0 100 1\n1 ${base} 65535\n`, base]);
  });
});

describe("a range of the daemon's", () => {
  test("is remembered", () => {
    const given = new Map([[1000, base + 3 * 65536]]);
    expect(plan({ given })).toMatchObject({ uidMap: `0 1000 1\n1 ${base + 3 * 65536} 65535\n`, give: undefined });
  });

  test("belongs to one user only", () => {
    const given = new Map([
      [7, base],
      [8, base + 2 * 65536],
    ]);
    expect(plan({ given }).give).toBe(base + 65536);
    // Allocated from another base: it overlaps two of ours.
    expect(plan({ given: new Map([[7, base + 1]]) }).give).toBe(base + 2 * 65536);
  });

  test.each(["subuid", "subgid"])("overlaps no range in %s", (file) => {
    expect(plan({ [file]: `bob:${base + 65535}:1` }).give).toBe(base + 65536);
    expect(plan({ [file]: `bob:${base + 65536}:1` }).give).toBe(base);
    expect(plan({ [file]: `bob:${base - 10}:11\nbob:${base + 65536}:65536` }).give).toBe(base + 2 * 65536);
    // Allocated earlier, and delegated since.
    expect(plan({ given: new Map([[1000, base]]), [file]: `bob:${base}:1` }).give).toBe(base + 65536);
  });

  test("does not contain the caller's own ids", () => {
    expect(plan({ caller: { uid: base + 5, gid: 100 } }).give).toBe(base + 65536);
    expect(plan({ caller: { uid: 5, gid: base + 5 } }).give).toBe(base + 65536);
  });

  test("contains no id of a known account, whether allocated earlier or not", () => {
    const taken = new Map([[base, "the user 'ann' (1879048200)"]]);
    expect(plan({ taken })).toMatchObject({ range: base + 65536, give: base + 65536 });
    expect(plan({ taken, given: new Map([[1000, base]]) }).give).toBe(base + 65536);
    expect(plan({ given: new Map([[1000, base]]) })).toMatchObject({ range: base, give: undefined });
    expect(() => plan({ base: 0x7ffd0000, taken: new Map([[0x7ffd0000, "the user 'ann' (2147287040)"]]) })).toThrow(
      "cannot serve on this host: no 65536 ids are free from 2147287040 on for user 1000: there is the user 'ann' (2147287040)",
    );
  });

  test("skips reserved ids, and is refused if ids.base itself is reserved", () => {
    const reserved = [{ first: base + 65536, last: base + 65536, what: "somebody gives them" }];
    expect(plan({ reserved, given: new Map([[7, base]]) }).give).toBe(base + 2 * 65536);
    const why = `ids.base is ${base + 65536}, and the ids from ${base + 65536} to ${base + 65536} are not free: somebody gives them`;
    expect(() => plan({ reserved, base: base + 65536 })).toThrow(`cannot serve on this host: ${why}`);
    // A user with ranges needs none.
    const own = { subuid: "alice:100000:65536", subgid: "alice:100000:65536" };
    expect(plan({ reserved, base: base + 65536, ...own }).range).toBeUndefined();
  });

  test("is a new one if ids.base has moved past it", () => {
    expect(plan({ given: new Map([[1000, base]]), base: base + 65536 }).give).toBe(base + 65536);
    expect(plan({ given: new Map([[1000, base + 65536]]), base: base + 65536 }).give).toBeUndefined();
  });

  test("is refused with an error if none is left", () => {
    const message = /cannot serve on this host: no 65536 ids are free from 2147418112 on for user 1000/;
    expect(() => plan({ base: 0x7fff0000, given: new Map([[7, 0x7fff0000]]) })).toThrow(message);
  });
});

describe("a caller with a large id", () => {
  test.each([2_147_483_648, 3_000_000_000, 4_294_967_294])("%i is itself", (id) => {
    expect(plan({ caller: { uid: id, gid: id } })).toMatchObject({
      uid: id,
      gid: id,
      uidMap: `0 ${id} 1\n1 ${base} 65535\n`,
      gidMap: `0 ${id} 1\n1 ${base} 65535\n`,
    });
  });
});

describe("root", () => {
  test("is never host 0 inside, whatever subuid contains", () => {
    const root = { uid: 0, gid: 0, name: "root" };
    expect(plan({ caller: root, subuid: "root:100000:65536", subgid: "root:100000:65536" })).toEqual({
      uid: base,
      gid: base,
      uidMap: `0 ${base} 65536\n`,
      gidMap: `0 ${base} 65536\n`,
      range: base,
      give: base,
    });
  });

  test("gets the same map with another group", () => {
    expect(plan({ caller: { uid: 0, gid: 50 }, given: new Map([[0, base]]) })).toMatchObject({
      uid: base,
      gid: base,
      give: undefined,
    });
  });
});
