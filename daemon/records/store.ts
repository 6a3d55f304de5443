/**
 * The daemon's memory: pools, clones, leases and id ranges in SQLite. All clones are in this process as well, so that a
 * lease reads nothing from a disk. Each change of a clone goes through the machine and is written before the storage
 * changes. A completed change is written a moment later, with the next intent.
 *
 * WAL with synchronous=NORMAL: a daemon crash loses nothing. A host crash may lose the last changes; therefore no clone
 * from an earlier boot is trusted to be unused (see reconcile.ts).
 */
import Database from "better-sqlite3";
import { IsolateError, toIsolateError } from "../../protocol/errors.ts";
import type { CloneId, SnapshotName, TemplateName } from "../../protocol/names.ts";
import { type CloneEvent, type CloneState, next } from "./machine.ts";
import { migrate } from "./migrate.ts";

export interface Holder {
  readonly pid: number;
  /** Clock ticks since boot, proc_pid_stat(5) field 22. With the pid and the boot id it identifies one process. */
  readonly startTime: string;
}

export interface LeaseRecord extends Holder {
  /** The caller's uid, to which the limits apply. */
  readonly uid: number;
  readonly command: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** The directory where the view is mounted. */
  readonly view: string;
}

export interface CloneRecord {
  readonly id: CloneId;
  readonly template: TemplateName;
  readonly snapshot: SnapshotName;
  readonly state: CloneState;
  /** The kernel's boot id when the clone was made, random(4). */
  readonly boot: string;
  /** Nanoseconds since 1970. */
  readonly made: bigint;
  /** The last lease; kept after its end, until the clone is gone. */
  readonly lease: LeaseRecord | null;
  /** Why the clone could not be made or destroyed. */
  readonly error: string | null;
  /** Something that somebody else made of it prevents its end, so it is not its lessee's any more. Not written down. */
  readonly blocked?: boolean;
}

export interface PoolRecord {
  readonly template: TemplateName;
  /** The size set by `isolate -r`; null if it is as configured. */
  readonly size: number | null;
  /** The configured size when `size` was set. A later change of the configuration overrides `size`. */
  readonly configured: number;
}

export interface Store {
  readonly storeId: string;
  clones(): Iterable<CloneRecord>;
  clonesOf(template: TemplateName): Iterable<CloneRecord>;
  /** In the order in which they entered that state. */
  clonesIn(template: TemplateName, state: CloneState): ReadonlyMap<CloneId, CloneRecord>;
  /** How many clones that uid was given and that are not yet gone, without the blocked ones. */
  heldBy(uid: number): number;
  clone(id: CloneId): CloneRecord | undefined;
  /** Records the intent to make a clone. */
  creating(clone: Pick<CloneRecord, "id" | "template" | "snapshot" | "boot" | "made">): void;
  /** Applies the event to a clone. Throws `internal` if the machine refuses it. */
  apply(id: CloneId, event: CloneEvent, change?: { lease?: LeaseRecord; error?: string | null }): CloneRecord;
  /** Records why the last attempt on a clone failed, its state unchanged. */
  failed(id: CloneId, error: string, blocked?: boolean): void;
  pools(): readonly PoolRecord[];
  savePool(pool: PoolRecord): void;
  forgetPool(template: TemplateName): void;
  rangeOf(uid: number): number | undefined;
  ranges(): ReadonlyMap<number, number>;
  saveRange(uid: number, start: number): void;
  /** Throws SQLite's error if the database does not answer. */
  check(): void;
  close(): void;
}

/** See migrate.ts. */
const migrations: readonly string[] = [
  `
  CREATE TABLE meta (store_id TEXT NOT NULL) STRICT;
  CREATE TABLE pools (template TEXT PRIMARY KEY, size INTEGER, configured INTEGER NOT NULL) STRICT;
  CREATE TABLE clones (
    id TEXT PRIMARY KEY, template TEXT NOT NULL, snapshot TEXT NOT NULL, state TEXT NOT NULL, boot TEXT NOT NULL,
    made INTEGER NOT NULL, uid INTEGER, pid INTEGER, start_time TEXT, command TEXT, since INTEGER, view TEXT, error TEXT
  ) STRICT;
  CREATE TABLE ranges (uid INTEGER PRIMARY KEY, start INTEGER NOT NULL UNIQUE) STRICT;
`,
];

/** Milliseconds without a change of a clone after which a checkpoint delays nobody. */
const idleTime = 500;
/** Milliseconds that the row of a completed change waits to be written with another. */
const behindTime = 50;

type Row = Record<string, string | number | bigint | null>;

/**
 * Throws `cannot-start` for a database of a newer version, else SQLite's error. `newId` makes the id of a new store.
 */
export function openStore(file: string, newId: () => string): Store {
  const db = new Database(file);
  try {
    // Only one daemon uses the directory (host-lock.ts), so changes need no lock of their own.
    db.pragma("locking_mode = EXCLUSIVE");
    db.pragma("journal_mode = WAL");
    db.pragma("synchronous = NORMAL");
    // A checkpoint waits for the disk (10 ms and more), so it is left to idle moments if there are any.
    db.pragma("wal_autocheckpoint = 4000");
    migrate(db, `the database ${file}`, migrations);
    db.prepare("INSERT INTO meta SELECT ? WHERE NOT EXISTS (SELECT * FROM meta)").run(newId());
  } catch (error) {
    db.close();
    throw error;
  }

  const insert = db.prepare("INSERT INTO clones (id, template, snapshot, state, boot, made) VALUES (?, ?, ?, ?, ?, ?)");
  const update = db.prepare(
    "UPDATE clones SET state = ?, uid = ?, pid = ?, start_time = ?, command = ?, since = ?, view = ?, error = ? WHERE id = ?",
  );
  const remove = db.prepare("DELETE FROM clones WHERE id = ?");
  const memory = createIndex();
  for (const row of db.prepare("SELECT * FROM clones ORDER BY made").safeIntegers().all() as Row[])
    memory.put(fromRow(row));

  /** In memory as well, since every connection is compared with them. */
  const ranges = new Map(
    (db.prepare("SELECT uid, start FROM ranges").all() as { uid: number; start: number }[]).map(({ uid, start }) => [
      uid,
      start,
    ]),
  );

  const whenIdle = setTimeout(() => {
    try {
      db.pragma("wal_checkpoint(PASSIVE)");
    } catch {
      // A full disk. The next change reports it.
    }
  }, idleTime).unref();

  /** Rows of completed changes, and rows that a full disk has not yet accepted. */
  const behind = new Map<CloneId, CloneRecord>();
  let behindTimer: NodeJS.Timeout | undefined;

  function put(record: CloneRecord): void {
    const { lease } = record;
    const holder = [lease?.uid, lease?.pid, lease?.startTime, lease?.command, lease?.since, lease?.view];
    if (record.state === "gone") remove.run(record.id);
    else update.run(record.state, ...holder.map((value) => value ?? null), record.error, record.id);
  }

  const together = db.transaction((act: () => void) => {
    for (const record of behind.values()) put(record);
    act();
  });

  /** Writes the change and all rows that are behind, in one transaction. */
  function write(act: () => void): void {
    full(() => (behind.size === 0 ? act() : together(act)));
    behind.clear();
    whenIdle.refresh();
  }

  function writeLater(record: CloneRecord): void {
    behind.set(record.id, record);
    behindTimer ??= setTimeout(() => {
      behindTimer = undefined;
      writeBehind();
    }, behindTime).unref();
  }

  function writeBehind(): void {
    try {
      if (behind.size > 0) write(() => undefined);
    } catch {
      // A full disk. The next change reports it.
    }
  }

  /**
   * After a crash, a lease that is not on the disk could be granted twice, so it is refused if the disk is full. Any
   * other row that is behind only makes the next daemon repeat work, so nobody waits for it, least of all a caller who
   * frees space.
   */
  function save(record: CloneRecord): CloneRecord {
    if (record.state === "ready" || record.state === "gone") {
      writeLater(record);
    } else {
      try {
        write(() => put(record));
      } catch (error) {
        if (record.state === "leased" || toIsolateError(error).code !== "storage-full") throw error;
        writeLater(record);
      }
    }
    memory.put(record);
    return record;
  }

  function known(id: CloneId): CloneRecord {
    const record = memory.byId.get(id);
    if (!record) throw new IsolateError("internal", { cause: `the clone ${id} is not known` });
    return record;
  }

  return {
    storeId: (db.prepare("SELECT store_id FROM meta").get() as { store_id: string }).store_id,
    clones: () => memory.byId.values(),
    clonesOf: memory.of,
    clonesIn: memory.inState,
    heldBy: (uid) => memory.held.get(uid) ?? 0,
    clone: (id) => memory.byId.get(id),
    creating(clone) {
      write(() => insert.run(clone.id, clone.template, clone.snapshot, "creating", clone.boot, clone.made));
      memory.put({ ...clone, state: "creating", lease: null, error: null });
    },
    apply(id, event, change = {}) {
      const record = known(id);
      const state = next(record.state, event);
      if (!state)
        throw new IsolateError("internal", { cause: `the clone ${id} is ${record.state}, and '${event}' is refused` });
      return save({ ...record, state, lease: change.lease ?? record.lease, error: change.error ?? null });
    },
    failed(id, error, blocked = false) {
      save({ ...known(id), error, blocked });
    },
    pools: () => db.prepare("SELECT template, size, configured FROM pools ORDER BY template").all() as PoolRecord[],
    savePool({ template, size, configured }) {
      full(() => db.prepare("INSERT OR REPLACE INTO pools VALUES (?, ?, ?)").run(template, size, configured));
    },
    forgetPool(template) {
      db.prepare("DELETE FROM pools WHERE template = ?").run(template);
    },
    rangeOf: (uid) => ranges.get(uid),
    ranges: () => ranges,
    saveRange(uid, start) {
      full(() => db.prepare("INSERT OR REPLACE INTO ranges VALUES (?, ?)").run(uid, start));
      // The table allows only one user per range.
      for (const [other, theirs] of ranges) if (theirs === start) ranges.delete(other);
      ranges.set(uid, start);
    },
    check: () => void db.prepare("SELECT count(*) FROM meta").get(),
    close() {
      clearTimeout(whenIdle);
      clearTimeout(behindTimer);
      writeBehind();
      db.close();
    },
  };
}

/** Indexes all clones that are not gone for the questions of a lease, so that it costs the same at 10 and at 5,000. */
function createIndex() {
  const byId = new Map<CloneId, CloneRecord>();
  const byTemplate = new Map<TemplateName, Map<CloneState, Map<CloneId, CloneRecord>>>();
  const held = new Map<number, number>();
  const none: ReadonlyMap<CloneId, CloneRecord> = new Map();
  const count = (record: CloneRecord | undefined, change: number): void => {
    if (!record?.lease || record.state === "gone" || record.blocked) return;
    held.set(record.lease.uid, (held.get(record.lease.uid) ?? 0) + change);
  };
  const inState = (template: TemplateName, state: CloneState) => byTemplate.get(template)?.get(state) ?? none;
  function siblings({ template, state }: CloneRecord): Map<CloneId, CloneRecord> {
    const states = byTemplate.get(template) ?? new Map<CloneState, Map<CloneId, CloneRecord>>();
    const clones = states.get(state) ?? new Map<CloneId, CloneRecord>();
    byTemplate.set(template, states.set(state, clones));
    return clones;
  }
  function put(record: CloneRecord): void {
    const before = byId.get(record.id);
    count(before, -1);
    count(record, 1);
    if (before && before.state !== record.state) siblings(before).delete(record.id);
    if (record.state === "gone") {
      byId.delete(record.id);
    } else {
      byId.set(record.id, record);
      siblings(record).set(record.id, record);
    }
  }
  function* of(template: TemplateName): Iterable<CloneRecord> {
    for (const clones of byTemplate.get(template)?.values() ?? []) yield* clones.values();
  }
  return { byId, of, inState, held, put };
}

function full<T>(write: () => T): T {
  try {
    return write();
  } catch (error) {
    const code = (error as { code?: string }).code ?? "";
    if (code === "SQLITE_FULL" || code.startsWith("SQLITE_IOERR")) {
      throw new IsolateError("storage-full", { doing: "record the change in the state directory", cause: code }, error);
    }
    throw error;
  }
}

function fromRow(row: Row): CloneRecord {
  return {
    id: row.id as CloneId,
    template: row.template as TemplateName,
    snapshot: row.snapshot as SnapshotName,
    state: row.state as CloneState,
    boot: row.boot as string,
    made: BigInt(row.made ?? 0),
    error: row.error as string | null,
    lease:
      row.uid === null
        ? null
        : {
            uid: Number(row.uid),
            pid: Number(row.pid),
            startTime: String(row.start_time),
            command: String(row.command),
            since: Number(row.since),
            view: String(row.view),
          },
  };
}
