/** The version of a database's schema, which SQLite keeps in the file: `PRAGMA user_version`. */
import type Database from "better-sqlite3";
import { IsolateError } from "../../protocol/errors.ts";

/**
 * Migrates a database completely or not at all. The step with index N takes it from version N to N + 1; a released step
 * never changes. Throws `cannot-start`, naming the database `name`, if its version is newer; it then stays unchanged.
 */
export function migrate(db: Database.Database, name: string, steps: readonly string[]): void {
  const version = Number(db.pragma("user_version", { simple: true }));
  if (version > steps.length) {
    const wrong = `${name} was written by a newer isolate (version ${version}, this one supports ${steps.length})`;
    throw new IsolateError("cannot-start", { wrong, fix: "install the newer version again" });
  }
  if (version === steps.length) return;
  db.transaction(() => {
    for (const step of steps.slice(version)) db.exec(step);
    db.pragma(`user_version = ${steps.length}`);
  })();
}
