import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import Database from "better-sqlite3";
import { type LeaseRecord, openStore, type Store } from "../../../../daemon/records/store.ts";
import type { CloneId, SnapshotName, TemplateName } from "../../../../protocol/names.ts";
import { eventually } from "../../../support/process.ts";

const template = "p/t" as TemplateName;
const clone = (id: string) => ({
  id: id as CloneId,
  template,
  snapshot: "p/t@1" as SnapshotName,
  boot: "b",
  made: 1_700_000_000_000_000_001n,
});
const lease: LeaseRecord = { uid: 1000, pid: 77, startTime: "123", command: "sh -c 'exit'", since: 5, view: "/v/c1" };

let directory: string;
let store: Store;
const reopen = (): Store => {
  store.close();
  store = openStore(join(directory, "db"), () => "other");
  return store;
};

/** Returns the state that a new daemon would find if this one were killed now. */
function afterCrash(id: CloneId): string | undefined {
  const copy = mkdtempSync(join(tmpdir(), "isolate-store-"));
  cpSync(directory, copy, { recursive: true });
  const next = openStore(join(copy, "db"), () => "other");
  try {
    return next.clone(id)?.state;
  } finally {
    next.close();
    rmSync(copy, { recursive: true });
  }
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "isolate-store-"));
  store = openStore(join(directory, "db"), () => "first");
});
afterEach(() => {
  store.close();
  rmSync(directory, { recursive: true });
});

test("a restart finds everything that was written, to the nanosecond", () => {
  store.creating(clone("c1"));
  store.apply("c1" as CloneId, "created");
  store.apply("c1" as CloneId, "lease", { lease });
  const before = store.clone("c1" as CloneId);
  expect(reopen().clone("c1" as CloneId)).toEqual(before);
  expect(before).toMatchObject({ state: "leased", lease, made: 1_700_000_000_000_000_001n });
  expect(store.storeId).toBe("first");
});

test("a clone that somebody else keeps from its end is not its lessee's any more", () => {
  store.creating(clone("c1"));
  store.apply("c1" as CloneId, "created");
  store.apply("c1" as CloneId, "lease", { lease });
  store.apply("c1" as CloneId, "release");
  store.failed("c1" as CloneId, "in use");
  expect(store.heldBy(1000)).toBe(1);
  store.failed("c1" as CloneId, "somebody holds p/c1@x", true);
  expect(store.heldBy(1000)).toBe(0);
  store.failed("c1" as CloneId, "in use");
  expect(store.heldBy(1000)).toBe(1);
  store.failed("c1" as CloneId, "somebody holds p/c1@x", true);
  store.apply("c1" as CloneId, "destroyed");
  expect(store.heldBy(1000)).toBe(0);
});

test("a clone that is gone leaves no row", () => {
  store.creating(clone("c1"));
  store.apply("c1" as CloneId, "reclaim");
  store.apply("c1" as CloneId, "destroyed");
  expect([...reopen().clones()]).toEqual([]);
});

test("a crash loses no intent and no lease", () => {
  const id = "c1" as CloneId;
  store.creating(clone(id));
  expect(afterCrash(id)).toBe("creating");
  store.apply(id, "created");
  store.apply(id, "lease", { lease });
  expect(afterCrash(id)).toBe("leased");
  store.apply(id, "release");
  expect(afterCrash(id)).toBe("retired");
});

test("a completed change is written without another change", async () => {
  store.creating(clone("c1"));
  store.apply("c1" as CloneId, "created");
  await eventually("it is", () => afterCrash("c1" as CloneId) === "ready");
});

test("an event that the machine refuses changes nothing", () => {
  store.creating(clone("c1"));
  expect(() => store.apply("c1" as CloneId, "lease", { lease })).toThrow("is creating, and 'lease' is refused");
  expect(reopen().clone("c1" as CloneId)).toMatchObject({ state: "creating", lease: null });
});

test("a user's clones count until they are gone, even after the lease's end", () => {
  for (const id of ["c1", "c2"] as CloneId[]) {
    store.creating(clone(id));
    store.apply(id, "created");
    store.apply(id, "lease", { lease });
  }
  store.apply("c1" as CloneId, "release");
  store.failed("c1" as CloneId, "busy");
  expect(store.heldBy(1000)).toBe(2);
  expect(reopen().heldBy(1000)).toBe(2);
  store.apply("c1" as CloneId, "destroyed");
  expect(store.heldBy(1000)).toBe(1);
  expect(store.heldBy(0)).toBe(0);
});

test("a database of a newer version is refused and stays unchanged", () => {
  store.close();
  const file = join(directory, "db");
  const newer = new Database(file);
  newer.pragma("user_version = 99");
  newer.close();
  expect(() => openStore(file, () => "x")).toThrow("was written by a newer isolate (version 99, this one supports 1)");
  const after = new Database(file);
  expect(after.pragma("user_version", { simple: true })).toBe(99);
  after.pragma("user_version = 1");
  after.close();
  store = openStore(file, () => "x");
});
