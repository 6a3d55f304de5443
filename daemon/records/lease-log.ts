/**
 * Who leased what, when, and how it ended: kept in an SQLite file of its own for `isolate log`. Written a moment later and
 * many at once, so that no lease waits for it, and a disk that is full or broken stops none: entries then wait in memory.
 * What a crash loses of them, the rows of the leases that still run bring back (see `Leases.adoptOrphans`).
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
  /** Of an edit there is none. */
  readonly snapshot: string | null;
  readonly uid: number;
  readonly command: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export interface Entry extends Began {
  /** null while it runs. */
  readonly until: number | null;
  readonly end: LeaseEnd | null;
  /** Uid of who ended it, if somebody did. */
  readonly by: number | null;
}

export interface Filter {
  readonly uid?: number;
  readonly template?: string;
  readonly end?: LeaseEnd | "running";
  /** Milliseconds since 1970, of the beginning. */
  readonly since?: number;
  readonly until?: number;
  readonly limit: number;
}

export interface LeaseLog {
  began(lease: Began): void;
  /** Of a lease that has begun. */
  ended(lease: string, end: LeaseEnd, by: number | null): void;
  /** All that run have begun: whatever else has no end was lost with an earlier daemon. */
  settle(): void;
  /** The newest first, and how many are not among them because the disk has not taken them. */
  read(filter: Filter): { readonly entries: readonly Entry[]; readonly unsaved: number };
  unsaved(): number;
  close(): void;
}

export interface LeaseLogOptions {
  readonly file: string;
  /** Entries older than this are removed. */
  readonly days: number;
  /** More than these are removed, the oldest first. 0: nothing is recorded. */
  readonly entries: number;
  /** What of a command is recorded: its arguments may hold secrets, and the file is kept for long. */
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

/** Milliseconds from an entry to its writing. */
const writeDelay = 200;
const retryDelay = 5000;
/** Entries that wait in memory at most. */
const mostUnsaved = 10_000;
const pruneEvery = 3_600_000;
/** Rows that are removed at once: nobody shall wait for it. */
const pruneStep = 500;
const day = 86_400_000;

/** Throws `cannot-start` for a file of a newer version; whatever else is wrong with it only keeps entries waiting. */
export function openLeaseLog({ file, days, entries: most, commands, clock, log }: LeaseLogOptions): LeaseLog {
  const running = new Map<string, Entry>();
  /** By lease and beginning, in the order of their coming. */
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
        log.warn({ file, err: error }, "cannot write the log of leases; leases go on, and it is tried again");
      failing = true;
      return false;
    }
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (unsaved.size === 0 && !lossesUnsettled) return;
    const written = attempt((open) => {
      open.transaction(() => {
        const put = open.prepare(
          `INSERT INTO entries (lease, kind, template, snapshot, uid, command, since, until, how, by_uid)
           VALUES (@lease, @kind, @template, @snapshot, @uid, @command, @since, @until, @end, @by)
           ON CONFLICT (lease, since) DO UPDATE SET until = excluded.until, how = excluded.how, by_uid = excluded.by_uid`,
        );
        for (const entry of unsaved.values()) put.run(entry);
        if (lossesUnsettled) settleLosses(open, running, clock());
      })();
    });
    if (written) {
      unsaved.clear();
      lossesUnsettled = false;
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
    // The rest soon, in steps.
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
      let entries: Entry[] = [];
      attempt((open) => {
        entries = select(open, filter);
      });
      return { entries, unsaved: unsaved.size };
    },
    unsaved: () => unsaved.size,
    close() {
      flush();
      clearTimeout(timer);
      clearTimeout(pruning);
      db?.close();
    },
  };
}

function openDatabase(file: string): Database.Database {
  const db = new Database(file);
  try {
    chmodSync(file, 0o600); // SQLite gives its other files the same mode
    db.pragma("journal_mode = WAL");
    db.pragma("synchronous = NORMAL");
    migrate(db, `the log ${file}`, migrations);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** The client joins words by spaces: what is before the first is the program. */
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

/** Removes some of what is too old or too many, and gives how many. What runs stays. */
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

function select(db: Database.Database, { uid, template, end, since, until, limit }: Filter): Entry[] {
  const conditions: [sql: string, value: string | number | undefined][] = [
    ["uid = ?", uid],
    ["template = ?", template],
    ["how = ?", end === "running" ? undefined : end],
    ["since >= ?", since],
    ["since < ?", until],
  ];
  const given = conditions.filter(([, value]) => value !== undefined);
  const all = [...given.map(([sql]) => sql), ...(end === "running" ? ["how IS NULL"] : [])];
  const where = all.length === 0 ? "" : `WHERE ${all.join(" AND ")}`;
  return db
    .prepare(
      `SELECT lease, kind, template, snapshot, uid, command, since, until, how AS "end", by_uid AS "by"
       FROM entries ${where} ORDER BY since DESC, id DESC LIMIT ?`,
    )
    .all(...given.map(([, value]) => value), limit) as Entry[];
}
