import { expect, test } from "@jest/globals";
import { destroyArguments, directProperties, parseDestroyed } from "../../../../../daemon/storage/zfs/direct-args.ts";
import type { CloneId, SnapshotName, TemplateName } from "../../../../../protocol/names.ts";

const template = "p/debian" as TemplateName;
const from = "p/debian@monday" as SnapshotName;
const id = "debian_1763760000000000000" as CloneId;
const request = { from, id, dataset: `p/${id}`, store: "s1", template, refquota: "none", properties: {} };

test("a clone cannot affect the host, is not mounted automatically, and has its store's mark", () => {
  const properties = { acltype: "posix", xattr: "sa", atime: "off", setuid: "on", devices: "on", mountpoint: "/" };
  expect(directProperties({ ...request, refquota: "5G", properties })).toEqual({
    acltype: 1n,
    xattr: 2n,
    atime: 0n,
    mountpoint: "legacy",
    readonly: 0n,
    setuid: 0n,
    devices: 0n,
    exec: 1n,
    refquota: 5n * 1024n ** 3n,
    "com.sun:auto-snapshot": "false",
    "isolate:store": "s1",
    "isolate:clone": id,
    "isolate:template": template,
    "isolate:snapshot": from,
  });
});

test.each(["123", "7K", "7M", "7T", "7P"])("a quota of %s", (refquota) => {
  const unit = " KMGTP".indexOf(/[A-Z]/.exec(refquota)?.[0] ?? " ");
  expect(directProperties({ ...request, refquota })?.refquota).toBe(
    BigInt(Number.parseInt(refquota, 10)) * 1024n ** BigInt(unit),
  );
});

test("what a template sets itself is its clones' too", () => {
  const properties = { sync: "disabled", compression: "lz4", recordsize: "16384", logbias: "throughput" };
  expect(directProperties({ ...request, properties })).toMatchObject({
    sync: 2n,
    compression: 15n,
    recordsize: 16384n,
    logbias: 1n,
  });
});

test.each([{ xattr: "on" }, { acltype: "new" }, { compression: "zstd-7" }, { copies: "2" }])(
  "a word whose number is not known is left to zfs(8): %j",
  (properties) => expect(directProperties({ ...request, properties })).toBeUndefined(),
);

test("the outcomes are distinguished", () => {
  const [one, other] = [`p/${id}`, "p/x y"];
  expect(destroyArguments([{ dataset: one, store: "s1", id }])).toEqual({ [one]: `s1 ${id}` });
  expect([...parseDestroyed(`${one}\t0\n${other}\tabsent\np/a\t16\np/b\t17`)]).toEqual([
    [one, "destroyed"],
    [other, "absent"],
    ["p/a", "busy"],
    ["p/b", "failed"],
  ]);
});
