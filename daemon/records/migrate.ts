/** The version of a database's schema, which SQLite keeps in the file itself: `PRAGMA user_version`. */
import type Database from "better-sqlite3";
import { IsolateError } from "../../protocol/errors.ts";

/**
 * Brings a database up to date, whole or not at all. Each step takes it from the version of its index to the next one; a
 * step that was released never changes. Throws `cannot-start` for a database of a newer version, which stays as it is;
 * `name` is for its sentence.
 */
export function migrate(db: Database.Database, name: string, steps: readonly string[]): void {
  const version = Number(db.pragma("user_version", { simple: true }));
  if (version > steps.length) {
    const wrong = `${name} is of a newer isolate (version ${version}, this one knows ${steps.length})`;
    throw new IsolateError("cannot-start", { wrong, fix: "install that newer version again" });
  }
  if (version === steps.length) return;
  db.transaction(() => {
    for (const step of steps.slice(version)) db.exec(step);
    db.pragma(`user_version = ${steps.length}`);
  })();
}
