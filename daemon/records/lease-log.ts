/**
 * The log of leases for `isolate log`: user, template, time and end, in a separate SQLite file. Entries are written a
 * moment later and in batches, so no lease waits for them. If the disk is full or broken, leases go on and entries wait
 * in memory. A crash may lose entries; those of running leases come back from their rows (see `Leases.adoptOrphans`).
 */
import { chmodSync } from "node:fs";
import Database from "better-sqlite3";
import type { Logger } from "pino";
import { IsolateError } from "../../protocol/errors.ts";
import type { LeaseEnd } from "../../protocol/schema.ts";
import { migrate } from "./migrate.ts";

export interface Began {
  readonly lease: string;
  readonly kind: "run" | "edit";
  readonly template: string;
  /** null for an edit. */
  readonly snapshot: string | null;
  readonly uid: number;
  readonly command: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export interface Entry extends Began {
  /** null while the lease lasts. */
  readonly until: number | null;
  readonly end: LeaseEnd | null;
  /** The uid of the user who ended it; null if nobody did. */
  readonly by: number | null;
}

export interface Filter {
  readonly uid?: number;
  readonly template?: string;
  readonly end?: LeaseEnd | "running";
  /** Limits of the beginning, in milliseconds since 1970. */
  readonly since?: number;
  readonly until?: number;
  readonly limit: number;
  /** Where an earlier answer ended; the entries after it are older. */
  readonly after?: Cursor;
}

/** An entry's place in the log. */
export interface Cursor {
  readonly since: number;
  readonly id: number;
}

export interface Page {
  /** Newest first. */
  readonly entries: readonly Entry[];
  /** The number of entries that are missing because they are not yet on the disk. */
  readonly unsaved: number;
  /** Where to continue; `undefined` at the end. There may be more even if a page has fewer entries than its limit. */
  readonly next: Cursor | undefined;
}

export interface LeaseLog {
  began(lease: Began): void;
  /** For a lease that has begun. */
  ended(lease: string, end: LeaseEnd, by: number | null): void;
  /** Call once all running leases have begun: any other entry without an end was lost with an earlier daemon. */
  settle(): void;
  /** Reads a limited part of the log, even if few entries match. */
  read(filter: Filter): Page;
  unsaved(): number;
  close(): void;
}

export interface LeaseLogOptions {
  readonly file: string;
  /** Entries older than this are removed. */
  readonly days: number;
  /** Keeps at most this many, and removes the oldest first. 0: nothing is recorded. */
  readonly entries: number;
  /** How much of a command is recorded: arguments may hold secrets, and the file is kept for a long time. */
  readonly commands: "none" | "program" | "full";
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly log: Pick<Logger, "warn">;
}

/** See migrate.ts. */
const migrations = [
  `
  CREATE TABLE entries (
    id INTEGER PRIMARY KEY, lease TEXT NOT NULL, kind TEXT NOT NULL, template TEXT NOT NULL, snapshot TEXT,
    uid INTEGER NOT NULL, command TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER, how TEXT, by_uid INTEGER,
    UNIQUE (lease, since)
  ) STRICT;
  CREATE INDEX entries_since ON entries (since);
  CREATE INDEX entries_uid ON entries (uid, since);
`,
];

/** Milliseconds from an entry to its write. */
const writeDelay = 200;
const retryDelay = 5000;
/** The most entries that wait in memory. */
const mostUnsaved = 10_000;
const pruneEvery = 3_600_000;
/** Rows removed in one step, so that nobody waits for it. */
const pruneStep = 500;
const day = 86_400_000;
/** Entries in one transaction, for which leases wait. */
const writeStep = 1000;
/** Entries that one page reads, and the most characters of commands in it. Leases wait for a page. */
const pageRows = 2000;
const pageCharacters = 64 * 1024;

/** Throws `cannot-start` for a file of a newer version. With any other error, entries only wait. */
export function openLeaseLog({ file, days, entries: most, commands, clock, log }: LeaseLogOptions): LeaseLog {
  const running = new Map<string, Entry>();
  /** By lease and beginning, in order of arrival. */
  const unsaved = new Map<string, Entry>();
  let lossesUnsettled = false;
  let db: Database.Database | undefined;
  let timer: NodeJS.Timeout | undefined;
  let failing = false;

  function attempt(act: (open: Database.Database) => void): boolean {
    try {
      db ??= openDatabase(file);
      act(db);
      failing = false;
      return true;
    } catch (error) {
      if (error instanceof IsolateError) throw error;
      if (!failing)
        log.warn({ file, err: error }, "cannot write the lease log; leases go on, and the write is retried");
      failing = true;
      return false;
    }
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (unsaved.size === 0 && !lossesUnsettled) return;
    const some = [...unsaved].slice(0, writeStep);
    const written = attempt((open) => {
      open.transaction(() => {
        const put = open.prepare(
          `INSERT INTO entries (lease, kind, template, snapshot, uid, command, since, until, how, by_uid)
           VALUES (@lease, @kind, @template, @snapshot, @uid, @command, @since, @until, @end, @by)
           ON CONFLICT (lease, since) DO UPDATE SET until = excluded.until, how = excluded.how, by_uid = excluded.by_uid`,
        );
        for (const [, entry] of some) put.run(entry);
        if (lossesUnsettled && some.length === unsaved.size) {
          settleLosses(open, running, clock());
          lossesUnsettled = false;
        }
      })();
    });
    if (written) {
      for (const [key, entry] of some) if (unsaved.get(key) === entry) unsaved.delete(key);
      if (unsaved.size > 0 || lossesUnsettled) schedule(writeDelay);
    } else {
      for (const key of [...unsaved.keys()].slice(0, Math.max(0, unsaved.size - mostUnsaved))) unsaved.delete(key);
      schedule(retryDelay);
    }
  }

  function schedule(delay: number): void {
    timer ??= setTimeout(flush, delay).unref();
  }

  function save(entry: Entry): void {
    unsaved.set(`${entry.lease} ${entry.since}`, entry);
    schedule(writeDelay);
  }

  function prune(): void {
    let removed = 0;
    const done = attempt((open) => {
      removed = pruneOnce(open, clock() - days * day, most);
    });
    // Remove the rest soon, in steps.
    pruning = setTimeout(prune, done && removed >= pruneStep ? 50 : pruneEvery).unref();
  }

  attempt(() => undefined);
  let pruning = setTimeout(prune, writeDelay).unref();

  return {
    began(lease) {
      if (most === 0) return;
      const entry = { ...lease, command: recorded(lease.command, commands), until: null, end: null, by: null };
      running.set(lease.lease, entry);
      save(entry);
    },
    ended(lease, end, by) {
      const entry = running.get(lease);
      if (!entry) return;
      running.delete(lease);
      save({ ...entry, until: clock(), end, by });
    },
    settle() {
      lossesUnsettled = true;
      schedule(writeDelay);
    },
    read(filter) {
      flush();
      let page: Omit<Page, "unsaved"> = { entries: [], next: undefined };
      attempt((open) => {
        page = select(open, filter);
      });
      return { ...page, unsaved: unsaved.size };
    },
    unsaved: () => unsaved.size,
    close() {
      for (let left = unsaved.size + 1; left > 0 && (unsaved.size > 0 || lossesUnsettled); left -= writeStep) flush();
      clearTimeout(timer);
      clearTimeout(pruning);
      db?.close();
    },
  };
}

function openDatabase(file: string): Database.Database {
  const db = new Database(file);
  try {
    chmodSync(file, 0o600); // SQLite uses the same mode for its other files
    db.pragma("journal_mode = WAL");
    db.pragma("synchronous = NORMAL");
    migrate(db, `the log ${file}`, migrations);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** The client joins words with spaces, so the program is the text before the first space. */
function recorded(command: string, commands: LeaseLogOptions["commands"]): string {
  if (commands === "full") return command;
  return commands === "none" ? "" : (command.split(" ")[0] ?? "");
}

function settleLosses(db: Database.Database, running: ReadonlyMap<string, Entry>, now: number): void {
  const rows = db.prepare("SELECT id, lease, since FROM entries WHERE how IS NULL").all() as {
    id: number;
    lease: string;
    since: number;
  }[];
  const lose = db.prepare("UPDATE entries SET how = 'lost', until = ? WHERE id = ?");
  for (const { id, lease, since } of rows) if (running.get(lease)?.since !== since) lose.run(now, id);
}

/** Removes some of the entries that are too old or too many, and returns their number. Keeps running leases. */
function pruneOnce(db: Database.Database, before: number, most: number): number {
  const { count } = db.prepare("SELECT count(*) AS count FROM entries").get() as { count: number };
  const remove = (where: string, ...values: number[]): number =>
    db
      .prepare(
        `DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE how IS NOT NULL ${where} ORDER BY since LIMIT ?)`,
      )
      .run(...values).changes;
  const excess = Math.min(pruneStep, Math.max(0, count - most));
  return Math.max(remove("", excess), remove("AND since < ?", before, pruneStep));
}

function select(
  db: Database.Database,
  { uid, template, end, since, until, limit, after }: Filter,
): Omit<Page, "unsaved"> {
  const [rows, rowValues] = where([
    ["uid = ?", uid],
    ["since >= ?", since],
    ["since < ?", until],
    ["since <= ?", after?.since],
    ["(since, id) < (?, ?)", after?.since, after?.id],
  ]);
  const [fitting, values] = where([
    ["template = ?", template],
    ["how = ?", end === "running" ? undefined : end],
    ["how IS NULL", ...(end === "running" ? [] : [undefined])],
  ]);
  // The rows from the index are limited first: if nothing matches, a page must not scan the whole log.
  const part = `entries ${rows} ORDER BY since DESC, id DESC LIMIT ${pageRows}`;
  const found = db
    .prepare(
      `SELECT id, lease, kind, template, snapshot, uid, command, since, until, how AS "end", by_uid AS "by"
       FROM (SELECT * FROM ${part}) ${fitting} ORDER BY since DESC, id DESC LIMIT ?`,
    )
    .all(...rowValues, ...values, limit) as (Entry & { id: number })[];
  const shown = found.slice(0, fittingIn(found, pageCharacters));
  const [entries, last] = [shown.map(({ id, ...entry }) => entry), shown.at(-1)];
  if (last && (shown.length < found.length || shown.length === limit)) {
    return { entries, next: { since: last.since, id: last.id } };
  }
  const next = db
    .prepare(`SELECT since, id FROM ${part.replace(/[0-9]+$/, "1")} OFFSET ?`)
    .get(...rowValues, pageRows - 1);
  return { entries, next: next as Cursor | undefined };
}

/** Returns the SQL and the values of the conditions that have all of their values. */
function where(conditions: readonly (readonly [sql: string, ...values: unknown[]])[]): [string, unknown[]] {
  const given = conditions.filter(([, ...values]) => values.every((value) => value !== undefined));
  const text = given.map(([sql]) => sql).join(" AND ");
  return [text === "" ? "" : `WHERE ${text}`, given.flatMap(([, ...values]) => values)];
}

/** Returns how many entries, at least one, fit into the limit of characters of commands. */
function fittingIn(entries: readonly Entry[], characters: number): number {
  let sum = 0;
  const end = entries.findIndex(({ command }, index) => {
    sum += command.length;
    return index > 0 && sum > characters;
  });
  return end < 0 ? entries.length : end;
}
