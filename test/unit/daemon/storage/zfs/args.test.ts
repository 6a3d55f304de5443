import { expect, test } from "@jest/globals";
import * as args from "../../../../../daemon/storage/zfs/args.ts";
import type { CloneId, SnapshotName, TemplateName } from "../../../../../protocol/names.ts";

const template = "rpool/isolate/debian" as TemplateName;
const from = "rpool/isolate/debian@monday" as SnapshotName;
const id = "debian_1763760000000000000" as CloneId;

test("a clone cannot affect the host, is not mounted automatically, and has its store's mark", () => {
  const dataset = `rpool/isolate/${id}`;
  const request = { from, id, dataset, store: "s1", template, refquota: "5G", properties: { acltype: "posix" } };
  expect(args.cloneSnapshot(request)).toEqual([
    "clone",
    ...["-o", "acltype=posix"],
    ...["-o", "mountpoint=legacy"],
    ...["-o", "readonly=off"],
    ...["-o", "setuid=off"],
    ...["-o", "devices=off"],
    ...["-o", "exec=on"],
    ...["-o", "refquota=5G"],
    ...["-o", "com.sun:auto-snapshot=false"],
    ...["-o", "isolate:store=s1"],
    ...["-o", `isolate:clone=${id}`],
    ...["-o", `isolate:template=${template}`],
    ...["-o", `isolate:snapshot=${from}`],
    from,
    dataset,
  ]);
});

test("space is requested once for all", () => {
  const names = ["list", "-H", "-p", "-t", "filesystem", "-o", "name,available,used", "p/a", "p/b"];
  expect(args.listSpace(["p/a", "p/b"])).toEqual(names);
});

test("a template's own properties cannot override those that protect the host", () => {
  const properties = { setuid: "on", devices: "on", mountpoint: "/" };
  const made = args.cloneSnapshot({ from, id, dataset: "p/x", store: "s1", template, refquota: "none", properties });
  expect(made.filter((argument) => /^(setuid|devices|mountpoint)=/.test(argument))).toEqual([
    "setuid=off",
    "devices=off",
    "mountpoint=legacy",
  ]);
});

test("the configured quota comes before the template's own", () => {
  const quotas = (refquota: string) =>
    args
      .cloneSnapshot({ from, id, dataset: "p/x", store: "s1", template, refquota, properties: { refquota: "7" } })
      .filter((argument) => argument.startsWith("refquota="));
  expect(quotas("5G")).toEqual(["refquota=5G"]);
  expect(quotas("none")).toEqual(["refquota=7"]);
});

test("nothing is ever destroyed together with what depends on it", () => {
  const destroying = [args.destroy("p/x"), args.destroySnapshots("p/x")];
  expect(destroying).toEqual([
    ["destroy", "p/x"],
    ["destroy", "p/x@%"],
  ]);
});

test("a template that we make is an ordinary dataset that nothing mounts automatically", () => {
  expect(args.createTemplate(template, "s1")).toEqual([
    "create",
    ...["-o", "canmount=noauto"],
    ...["-o", "acltype=posixacl"],
    ...["-o", "xattr=sa"],
    ...["-o", "isolate:made-by=s1"],
    ...["-o", "isolate:unfinished=on"],
    template,
  ]);
});

test("marks of all datasets are asked for by source, so that inherited ones do not show", () => {
  expect(args.getAllMarks("p")).toEqual([
    ...["get", "-r", "-H", "-p", "-o", "name,property,value,source", "-s", "local,none", "-t", "filesystem"],
    "used,isolate:store,isolate:clone,isolate:template,isolate:snapshot,isolate:made-by,isolate:unfinished",
    "p",
  ]);
});

test("several templates are one command", () => {
  expect(args.listSnapshots(["p/a", "p/b"])).toEqual([
    ...["list", "-H", "-p", "-d", "1", "-t", "filesystem,snapshot"],
    ...["-o", "name,createtxg,creation,written,referenced", "p/a", "p/b"],
  ]);
  expect(args.listChanges(["p/a", "p/b"])).toEqual([
    ...["list", "-H", "-p", "-t", "filesystem", "-o", "name,snapshots_changed", "p/a", "p/b"],
  ]);
});
