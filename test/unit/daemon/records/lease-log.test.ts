import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import Database from "better-sqlite3";
import {
  type Began,
  type Cursor,
  type LeaseLog,
  type LeaseLogOptions,
  openLeaseLog,
} from "../../../../daemon/records/lease-log.ts";

let directory: string;
let now: number;
let warnings: number;
const opened: LeaseLog[] = [];

function open(options: Partial<LeaseLogOptions> = {}): LeaseLog {
  const file = join(directory, "leases.db");
  const log = { warn: () => void warnings++ };
  const leaseLog = openLeaseLog({ file, days: 90, entries: 1000, commands: "full", clock: () => now, log, ...options });
  opened.push(leaseLog);
  return leaseLog;
}

function lease(name: string, more: Partial<Began> = {}): Began {
  return { lease: name, kind: "run", template: "t", snapshot: "s", uid: 1, command: "sh -c x", since: now, ...more };
}

const names = (leaseLog: LeaseLog, filter = {}) =>
  leaseLog.read({ limit: 100, ...filter }).entries.map((one) => one.lease);

async function eventually(condition: () => boolean): Promise<void> {
  for (let round = 0; round < 500 && !condition(); round++) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(condition()).toBe(true);
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "isolate-log-"));
  now = 1_800_000_000_000;
  warnings = 0;
});
afterEach(() => {
  for (const leaseLog of opened.splice(0)) leaseLog.close();
  rmSync(directory, { recursive: true });
});

test("an entry exists immediately, is completed at its end, and survives a restart", () => {
  const first = open();
  first.began(lease("a"));
  expect(first.read({ limit: 9 }).entries).toEqual([{ ...lease("a"), until: null, end: null, by: null }]);
  now += 5000;
  first.ended("a", "killed", 0);
  first.close();
  const entry = { ...lease("a", { since: now - 5000 }), until: now, end: "killed", by: 0 };
  expect(open().read({ limit: 9 })).toEqual({ entries: [entry], unsaved: 0 });
  expect(statSync(join(directory, "leases.db")).mode & 0o777).toBe(0o600);
});

test("a second end, or the end of an unknown lease, has no effect", () => {
  const leaseLog = open();
  leaseLog.ended("never", "ended", null);
  leaseLog.began(lease("a"));
  leaseLog.ended("a", "ended", null);
  leaseLog.ended("a", "killed", 0);
  expect(leaseLog.read({ limit: 9 }).entries).toMatchObject([{ lease: "a", end: "ended", by: null }]);
});

test("filters entries, newest first", () => {
  const leaseLog = open();
  for (const [index, name] of ["a", "b", "c", "d"].entries()) {
    leaseLog.began(lease(name, { since: now + index, uid: index % 2, template: index < 2 ? "t" : "u" }));
  }
  leaseLog.ended("a", "ended", null);
  leaseLog.ended("b", "cut-off", null);
  expect(names(leaseLog)).toEqual(["d", "c", "b", "a"]);
  expect(names(leaseLog, { limit: 2 })).toEqual(["d", "c"]);
  expect(names(leaseLog, { uid: 0 })).toEqual(["c", "a"]);
  expect(names(leaseLog, { template: "u" })).toEqual(["d", "c"]);
  expect(names(leaseLog, { end: "running" })).toEqual(["d", "c"]);
  expect(names(leaseLog, { end: "cut-off" })).toEqual(["b"]);
  expect(names(leaseLog, { since: now + 1, until: now + 3 })).toEqual(["c", "b"]);
  expect(names(leaseLog, { uid: 1, template: "' OR 1 --" })).toEqual([]);
});

test.each([
  ["full", "sh -c secret"],
  ["program", "sh"],
  ["none", ""],
] as const)("commands = '%s' limits what is kept of a command, also in the file", (commands, kept) => {
  const leaseLog = open({ commands });
  leaseLog.began(lease("a", { command: "sh -c secret" }));
  leaseLog.ended("a", "ended", null);
  expect(leaseLog.read({ limit: 9 }).entries[0]?.command).toBe(kept);
  leaseLog.close();
  const db = new Database(join(directory, "leases.db"));
  expect(db.prepare("SELECT command FROM entries").pluck().all()).toEqual([kept]);
  db.close();
});

test("a lease that ran when the daemon died is lost, unless it still runs", () => {
  const first = open();
  for (const name of ["gone", "goes on"]) first.began(lease(name));
  first.close();
  now += 1000;
  const second = open();
  second.began(lease("goes on", { since: now - 1000 }));
  second.settle();
  expect(second.read({ limit: 9 }).entries.map(({ lease: name, end, until }) => [name, end, until])).toEqual([
    ["goes on", null, null],
    ["gone", "lost", now],
  ]);
});

test("a place that cannot be written to stops nothing, loses nothing, and is reported once", async () => {
  const file = join(directory, "missing", "leases.db");
  const leaseLog = open({ file });
  leaseLog.began(lease("a"));
  leaseLog.began(lease("b"));
  leaseLog.ended("a", "ended", null);
  expect(leaseLog.read({ limit: 9 })).toEqual({ entries: [], unsaved: 2 });
  expect(leaseLog.unsaved()).toBe(2);
  expect(warnings).toBe(1);
  mkdirSync(join(directory, "missing"));
  expect(names(leaseLog)).toEqual(["b", "a"]);
  expect(leaseLog.unsaved()).toBe(0);
});

test("the number of waiting entries is limited", () => {
  const leaseLog = open({ file: join(directory, "missing", "leases.db") });
  for (let count = 0; count < 10_050; count++) {
    leaseLog.began(lease(`${count}`));
    leaseLog.ended(`${count}`, "ended", null);
  }
  expect(leaseLog.read({ limit: 9 }).unsaved).toBe(10_000);
});

test("if there are too many entries, the oldest are removed, but running leases stay", async () => {
  const first = open();
  for (let count = 0; count < 1200; count++) {
    first.began(lease(`${count}`, { since: now + count }));
    if (count > 0) first.ended(`${count}`, "ended", null);
  }
  first.close();
  const leaseLog = open({ entries: 10 });
  const all = () => names(leaseLog, { limit: 2000 });
  await eventually(() => all().length <= 10);
  expect(all()).toEqual(["1199", "1198", "1197", "1196", "1195", "1194", "1193", "1192", "1191", "0"]);
});

test("entries that are too old are removed", async () => {
  const first = open();
  first.began(lease("old", { since: now - 3 * 86_400_000 }));
  first.ended("old", "ended", null);
  first.began(lease("new", { since: now - 86_400_000 }));
  first.ended("new", "ended", null);
  first.close();
  const leaseLog = open({ days: 2 });
  await eventually(() => names(leaseLog).length === 1);
  expect(names(leaseLog)).toEqual(["new"]);
});

test("with entries = 0 nothing is recorded", () => {
  const leaseLog = open({ entries: 0 });
  leaseLog.began(lease("a"));
  leaseLog.ended("a", "ended", null);
  expect(leaseLog.read({ limit: 9 })).toEqual({ entries: [], unsaved: 0 });
});

test("a file of a newer version is refused and stays unchanged", () => {
  const file = join(directory, "leases.db");
  const newer = new Database(file);
  newer.pragma("user_version = 99");
  newer.close();
  expect(() => open()).toThrow("was written by a newer isolate (version 99, this one supports 1)");
  const after = new Database(file);
  expect(after.pragma("user_version", { simple: true })).toBe(99);
  after.close();
});

describe("a page", () => {
  const readAll = (leaseLog: LeaseLog, filter: { template?: string }, limit: number) => {
    const pages: string[][] = [];
    let after: Cursor | undefined;
    do {
      const page = leaseLog.read({ ...filter, limit, ...(after ? { after } : {}) });
      pages.push(page.entries.map((one) => one.lease));
      after = page.next;
    } while (after);
    return pages;
  };

  test("continues where the previous one ended, also among entries of one moment", () => {
    const leaseLog = open();
    for (let count = 0; count < 25; count++) leaseLog.began(lease(`l${count}`, { since: now + (count >> 3) }));
    const pages = readAll(leaseLog, {}, 10);
    expect(pages.flat()).toEqual(Array.from({ length: 25 }, (_, count) => `l${24 - count}`));
    expect(Math.max(...pages.map(({ length }) => length))).toBe(10);
  });

  test("reads a limited part of the log, even if few entries match, and all are found in the end", () => {
    const leaseLog = open({ entries: 100_000 });
    for (let count = 0; count < 4500; count++)
      leaseLog.began(lease(`l${count}`, { since: now + count, template: count === 0 ? "rare" : "usual" }));
    for (let step = 0; leaseLog.unsaved() > 0 && step < 10; step++) leaseLog.read({ limit: 1 });
    expect(leaseLog.unsaved()).toBe(0);
    expect(readAll(leaseLog, { template: "rare" }, 10)).toEqual([[], [], ["l0"]]);
    expect(readAll(leaseLog, { template: "none" }, 10).flat()).toEqual([]);
  });

  test("has few entries with long commands, but at least one", () => {
    const leaseLog = open();
    for (let count = 0; count < 20; count++)
      leaseLog.began(lease(`l${count}`, { since: now + count, command: "x".repeat(40_000) }));
    const pages = readAll(leaseLog, {}, 20);
    expect(Math.max(...pages.map(({ length }) => length))).toBe(1);
    expect(pages.flat()).toHaveLength(20);
  });
});
