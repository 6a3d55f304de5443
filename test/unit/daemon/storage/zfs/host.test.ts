import { expect, test } from "@jest/globals";
import { whatIsMissing } from "../../../../../daemon/storage/zfs/host.ts";

const good = { commands: true, module: "2.3.9-1\n", kernel: "6.12.48+deb13-cloud-amd64" };

test.each([
  [{}, undefined],
  [{ module: "2.2.0-1\n", kernel: "5.12.0" }, undefined],
  [{ module: "3.0.0\n" }, undefined],
  [{ commands: false }, "the commands zfs(8) and zpool(8) are missing"],
  [{ module: undefined }, "the kernel module of ZFS is not loaded"],
  [{ module: "2.1.11-1\n" }, "OpenZFS 2.1.11-1 lacks ID-mapped mounts, which need 2.2"],
  [{ kernel: "5.10.0-30-amd64" }, "Linux 5.10.0-30-amd64 lacks ID-mapped mounts, which need 5.12"],
])("%j: %s", (facts, what) => {
  const missing = whatIsMissing({ ...good, ...facts });
  expect(missing?.what).toBe(what);
  if (missing) expect(missing.fix).not.toBe("");
});
