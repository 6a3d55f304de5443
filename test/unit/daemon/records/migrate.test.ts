import { expect, test } from "@jest/globals";
import Database from "better-sqlite3";
import { migrate } from "../../../../daemon/records/migrate.ts";

const first = "CREATE TABLE t (a INTEGER) STRICT; INSERT INTO t VALUES (7)";
const second = "ALTER TABLE t ADD COLUMN b TEXT; UPDATE t SET b = 'from ' || a";

const version = (db: Database.Database) => db.pragma("user_version", { simple: true });
const rows = (db: Database.Database) => db.prepare("SELECT * FROM t").all();

test("an older database goes through the steps that it lacks, once, and keeps what it holds", () => {
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

test("a new database goes through all of them", () => {
  const db = new Database(":memory:");
  migrate(db, "it", [first, second]);
  expect([version(db), rows(db)]).toEqual([2, [{ a: 7, b: "from 7" }]]);
});

test("a step that fails changes nothing, neither do those before it", () => {
  const db = new Database(":memory:");
  migrate(db, "it", [first]);
  expect(() => migrate(db, "it", [first, second, "CREATE TABLE t (again INTEGER)"])).toThrow("already exists");
  expect([version(db), rows(db)]).toEqual([1, [{ a: 7 }]]);
});

test("a newer database is refused, and left as it is", () => {
  const db = new Database(":memory:");
  migrate(db, "it", [first, second]);
  expect(() => migrate(db, "it", [first])).toThrow(
    "cannot start: it is of a newer isolate (version 2, this one knows 1)",
  );
  expect(version(db)).toBe(2);
});
