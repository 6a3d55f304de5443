import { expect, test } from "@jest/globals";
import { CommandError } from "../../../../../daemon/linux/child-process.ts";
import * as refusals from "../../../../../daemon/storage/zfs/refusal.ts";
import { IsolateError } from "../../../../../protocol/errors.ts";

const withSnapshot = `cannot destroy 'p/t_1': filesystem has children
use '-r' to destroy the following datasets:
p/t_1@mine
`;

test.each([
  ["cannot open 'p/none': dataset does not exist\n", "missing"],
  ["cannot open 'none/x': no such pool 'none'\n", "missing"],
  ["cannot create 'p/a/b': parent does not exist\n", "no-parent"],
  ["cannot create 'p/t': dataset already exists\n", "exists"],
  ["cannot destroy 'p/t_1': dataset is busy\n", "busy"],
  ["cannot unmount '/mnt': pool or dataset is busy\n", "busy"],
  [withSnapshot, "dependents"],
  ["cannot destroy 'p/t': filesystem has dependent clones\nuse '-R' to ...\n", "dependents"],
  ["cannot create 'p/t_1': out of space\n", "full"],
  ["tar: x: Cannot write: No space left on device\n", "full"],
  ["tar: x: Cannot write: Disk quota exceeded\n", "full"],
  ["bad property list: invalid property 'snapshots_changed'\nusage: ...\n", "no-property"],
  ["cannot create 'p/t_1': permission denied\n", "other"],
  ["", "other"],
])("%j is %s", (stderr, expected) => {
  expect(refusals.refusalOf(stderr)).toBe(expected);
});

test("the reason is zfs's own, not its last line with advice", () => {
  expect(refusals.reasonOf(withSnapshot)).toBe("filesystem has children");
  expect(refusals.reasonOf("tar: short\ntar: Exiting with failure status\n")).toBe("tar: Exiting with failure status");
  expect(refusals.reasonOf("")).not.toBe("");
});

test("names that cannot be used among several", () => {
  const stderr = `cannot open 'p/none': dataset does not exist
cannot open 'p/volume': operation not applicable to datasets of this type
cannot open 'p/broken': I/O error
`;
  expect([...refusals.unusableNames(stderr)]).toEqual(["p/none", "p/volume"]);
});

test("a full storage is distinguished from other failures, and the cause is kept", () => {
  const full = new CommandError(["zfs", "clone"], 1, "cannot create 'p/t_1': out of space\n");
  const error = refusals.storageError("make the clone 't_1'", full);
  expect(error.code).toBe("storage-full");
  expect(error.message).toBe("cannot make the clone 't_1': the storage is full (out of space)");
  expect(error.cause).toBe(full);
  const other = new CommandError(["zfs", "clone"], 1, "cannot create 'p/t_1': permission denied\n");
  expect(refusals.storageError("make the clone 't_1'", other).message).toBe(
    "cannot make the clone 't_1': permission denied",
  );
});

test("an error for the user stays unchanged", () => {
  const error = new IsolateError("bad-tar", { wrong: "x" });
  expect(refusals.storageError("y", error)).toBe(error);
});
