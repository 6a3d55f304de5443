import { expect, test } from "@jest/globals";
import Database from "better-sqlite3";
import { migrate } from "../../../../daemon/records/migrate.ts";

const first = "CREATE TABLE t (a INTEGER) STRICT; INSERT INTO t VALUES (7)";
const second = "ALTER TABLE t ADD COLUMN b TEXT; UPDATE t SET b = 'from ' || a";

const version = (db: Database.Database) => db.pragma("user_version", { simple: true });
const rows = (db: Database.Database) => db.prepare("SELECT * FROM t").all();

test("an older database gets the missing steps once, and keeps its data", () => {
  const db = new Database(":memory:");
  migrate(db, "it", [first]);
  expect([version(db), rows(db)]).toEqual([1, [{ a: 7 }]]);
  db.exec("INSERT INTO t VALUES (8)");
  migrate(db, "it", [first, second]);
  migrate(db, "it", [first, second]);
  const both = [
    { a: 7, b: "from 7" },
    { a: 8, b: "from 8" },
  ];
  expect([version(db), rows(db)]).toEqual([2, both]);
});

test("a new database gets all steps", () => {
  const db = new Database(":memory:");
  migrate(db, "it", [first, second]);
  expect([version(db), rows(db)]).toEqual([2, [{ a: 7, b: "from 7" }]]);
});

test("if a step fails, neither it nor the steps before it change anything", () => {
  const db = new Database(":memory:");
  migrate(db, "it", [first]);
  expect(() => migrate(db, "it", [first, second, "CREATE TABLE t (again INTEGER)"])).toThrow("already exists");
  expect([version(db), rows(db)]).toEqual([1, [{ a: 7 }]]);
});

test("a newer database is refused and stays unchanged", () => {
  const db = new Database(":memory:");
  migrate(db, "it", [first, second]);
  expect(() => migrate(db, "it", [first])).toThrow(
    "cannot start: it was written by a newer isolate (version 2, this one supports 1)",
  );
  expect(version(db)).toBe(2);
});
