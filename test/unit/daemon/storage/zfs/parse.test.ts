import { expect, test } from "@jest/globals";
import * as parse from "../../../../../daemon/storage/zfs/parse.ts";
import type { TemplateName } from "../../../../../protocol/names.ts";

const lines = (...rows: string[]) => `${rows.map((row) => row.replaceAll(" ", "\t")).join("\n")}\n`;
const names = (...list: string[]) => list as unknown as readonly TemplateName[];
const id = "debian_1763760000000000000";

test("snapshots come in the order of creation, independent of the clock", () => {
  const output = lines(
    "p/debian 40 1763760000 8192 98304",
    "p/debian/below 45 1763760000 98304 98304",
    "p/debian@second 60 1763750000 4096 98304",
    "p/debian@first 50 1763760000 98304 98304",
    "p/empty 41 1763760000 98304 98304",
  );
  const found = parse.parseSnapshots(output, names("p/debian", "p/empty", "p/gone"));
  expect([...found.keys()]).toEqual(["p/debian", "p/empty"]);
  expect(found.get("p/debian" as TemplateName)).toEqual([
    { name: "p/debian@first", createtxg: 50, creation: 1763760000, written: 98304, referenced: 98304 },
    { name: "p/debian@second", createtxg: 60, creation: 1763750000, written: 4096, referenced: 98304 },
  ]);
  expect(found.get("p/empty" as TemplateName)).toEqual([]);
});

test("a volume is not a template, although it has snapshots", () => {
  expect(parse.parseSnapshots(lines("p/volume@one 50 1763760000 0 4096"), names("p/volume")).size).toBe(0);
});

const marked = [
  `p/${id} used 13312 -`,
  `p/${id} isolate:store s1 local`,
  `p/${id} isolate:clone ${id} local`,
  `p/${id} isolate:template p/debian local`,
  `p/${id} isolate:snapshot p/debian@one local`,
];

test("space is the free bytes, and the total with the used ones", () => {
  expect(parse.parseSpace(lines("p/a 1000 24"))).toEqual([{ place: "p/a", free: 1000, total: 1024 }]);
});

test("a clone is identified by its own marks", () => {
  const output = lines("p used 90112 -", "p isolate:store - -", ...marked);
  expect(parse.clonesOf("s1", parse.parseProperties(output))).toEqual([
    { dataset: `p/${id}`, id, template: "p/debian", snapshot: "p/debian@one", bytes: 13312 },
  ]);
});

test("a renamed clone is still the same clone", () => {
  const output = lines(...marked).replaceAll(`p/${id}\t`, "p/other\t");
  expect(parse.clonesOf("s1", parse.parseProperties(output))).toMatchObject([{ dataset: "p/other", id }]);
});

test.each(["inherited from p", "received", "default", "-"])("a mark with source %p does not count", (source) => {
  const output = lines(...marked).replaceAll("\tlocal", `\t${source}`);
  expect(parse.clonesOf("s1", parse.parseProperties(output))).toEqual([]);
});

test("another store's clones are not ours", () => {
  expect(parse.clonesOf("s2", parse.parseProperties(lines(...marked)))).toEqual([]);
});

test("a mark without a clone's name does not count", () => {
  const output = lines("p/x isolate:store s1 local", "p/x isolate:clone ../../etc local");
  expect(parse.clonesOf("s1", parse.parseProperties(output))).toEqual([]);
});

test("templates are ours if we made and finished them", () => {
  const output = lines(
    "p/a isolate:made-by s1 local",
    "p/b isolate:made-by s1 local",
    "p/b isolate:unfinished on local",
    "p/c isolate:made-by s2 local",
    "p/d isolate:made-by s1 received",
  );
  expect(parse.templatesOf("s1", parse.parseProperties(output))).toEqual(["p/a"]);
});

test("a dataset's own and received properties count, inherited ones do not", () => {
  const output = lines("p/a acltype posix local", "p/a xattr sa received").concat(
    "p/a\tatime\toff\tinherited from p\n",
  );
  expect(Object.fromEntries(parse.parseProperties(output).get("p/a") ?? [])).toEqual({ acltype: "posix", xattr: "sa" });
});

test("dependents: clones of any snapshot, children, and whether it is mounted", () => {
  const output = "p/t\tyes\t-\t-\np/t/c\tno\t-\t-\np/t@a\t-\tp/t_1,q/mine\t0\np/t@b\t-\t\t2\n";
  expect(parse.parseDependents(output, "p/t")).toEqual({
    mounted: true,
    snapshots: 2,
    children: ["p/t/c"],
    clones: ["p/t_1", "q/mine"],
    held: ["p/t@b"],
  });
});

test("changes are in seconds, and 0 without any", () => {
  expect([...parse.parseChanges(lines("p/a 1763760000", "p/b -"))]).toEqual([
    ["p/a", 1763760000],
    ["p/b", 0],
  ]);
});

test("guids differ if the snapshots do, and a dataset without any appears", () => {
  const before = parse.parseGuids(lines("p/a@1 11", "p/a@2 12"), ["p/a", "p/b"]);
  const after = parse.parseGuids(lines("p/a@1 11", "p/a@2 12", "p/b@1 13"), ["p/a", "p/b"]);
  expect(before.get("p/a")).toBe(after.get("p/a"));
  expect(before.get("p/b")).not.toBe(after.get("p/b"));
});

test("versions", () => {
  expect(parse.parseVersion("2.3.9-1\n")).toEqual([2, 3]);
  expect(parse.parseVersion("6.12.48+deb13-cloud-amd64")).toEqual([6, 12]);
  expect(parse.parseVersion("unknown")).toBeUndefined();
});
