/** The shapes that cross the socket. Files in `protocol/` import only the schema library. */
import type { Static } from "@sinclair/typebox";
import * as Type from "@sinclair/typebox";

const nullable = <T extends Type.TSchema>(type: T) => Type.Union([type, Type.Null()]);
const strict = { additionalProperties: false } as const;
const name = Type.String({ maxLength: 1000 });

export const Empty = Type.Object({}, strict);

const leaseFields = {
  template: name,
  /** The longest time in seconds that the caller waits for a clone. */
  wait: Type.Optional(Type.String({ pattern: "^[0-9]{1,5}$" })),
  /** The command, as the caller states it: `isolate ps` shows it to the caller and to root; nothing relies on it. */
  command: Type.Optional(Type.String({ maxLength: 4096 })),
};
const base = Type.Optional(Type.String({ maxLength: 100 }));

/** `uid` and `gid`: the ids that root chose, for `readBaseIds`. */
export const LeaseQuery = Type.Object({ ...leaseFields, uid: base, gid: base }, strict);
export const EditQuery = Type.Object(leaseFields, strict);
export type LeaseQuery = Static<typeof LeaseQuery>;

export const TemplateQuery = Type.Object({ template: name }, strict);
export type TemplateQuery = Static<typeof TemplateQuery>;

/**
 * `size` is the text that the user typed, so that only the daemon validates it. Without it the pool keeps its size, or
 * gets the configured one.
 */
export const PoolRequest = Type.Object(
  {
    template: name,
    size: Type.Optional(Type.String({ maxLength: 100 })),
    /** Replace every ready clone by a new one. */
    fresh: Type.Boolean(),
    /** Reclaim used clones and make none. */
    reclaimOnly: Type.Boolean(),
    /** `template` is the instance name of a unit `isolate_regenerate@`, not a template's name. */
    instance: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type PoolRequest = Static<typeof PoolRequest>;

export const Pool = Type.Object(
  {
    template: Type.String(),
    driver: Type.String(),
    /** The storage has no template of that name (any more). */
    missing: Type.Boolean(),
    snapshot: nullable(Type.String()),
    /** Clones to keep ready. */
    size: Type.Integer(),
    creating: Type.Integer(),
    ready: Type.Integer(),
    leased: Type.Integer(),
    /** Released and not yet destroyed, including `failed` ones. */
    retired: Type.Integer(),
    /** Retired clones whose last destroy attempt failed. */
    failed: Type.Integer(),
    lastError: nullable(Type.String()),
    /** Bytes of the template and its snapshots; null if not counted yet. */
    bytes: nullable(Type.Integer()),
    /** Bytes written to its clones. */
    written: nullable(Type.Integer()),
    /** When the bytes were counted, ISO 8601. Counting runs in the background, so this may be a while ago. */
    countedAt: nullable(Type.String()),
  },
  strict,
);
export type Pool = Static<typeof Pool>;
export const Pools = Type.Array(Pool);

/** `notes`: what root should know about the pool, a sentence each. */
export const PoolChange = Type.Object({ ...Pool.properties, notes: Type.Array(Type.String()) }, strict);
export type PoolChange = Static<typeof PoolChange>;

/** `run`: a lease of a clone. `edit`: root's lease of a template's own state. */
const kind = Type.Union([Type.Literal("run"), Type.Literal("edit")]);

/** What is known of a sandbox, also of one that has ended. */
const sandbox = {
  /** The name that `isolate kill` takes: the clone's, or for an edit the template's. */
  lease: Type.String(),
  kind,
  template: Type.String(),
  /** null for an edit. */
  snapshot: nullable(Type.String()),
  user: Type.String(),
  uid: Type.Integer(),
  /** The command, as the caller stated it; `lease_log.commands` decides how much of it the log records. */
  command: Type.String(),
  /** ISO 8601. */
  since: Type.String(),
};

export const Lease = Type.Object(
  {
    ...sandbox,
    pid: Type.Integer(),
    /** Bytes written to the clone; null if not counted, as for an edit. */
    written: nullable(Type.Integer()),
    /** When they were counted, ISO 8601. */
    countedAt: nullable(Type.String()),
  },
  strict,
);
export type Lease = Static<typeof Lease>;
export const Leases = Type.Array(Lease);

export const Template = Type.Object(
  {
    template: Type.String(),
    driver: Type.String(),
    /** The snapshot that the next clone is made from. */
    snapshot: nullable(Type.String()),
    /** When that snapshot was made, ISO 8601. */
    created: nullable(Type.String()),
    /** Bytes that the template refers to; null if the storage cannot tell cheaply. */
    bytes: nullable(Type.Integer()),
    /** Datasets below it, which are not in its clones. */
    below: Type.Array(Type.String()),
  },
  strict,
);
export type Template = Static<typeof Template>;
export const Templates = Type.Array(Template);

export const Snapshot = Type.Object({ snapshot: Type.String() }, strict);
export type Snapshot = Static<typeof Snapshot>;

/** `lease`: a lease's name, or a unique prefix. */
export const KillQuery = Type.Object({ lease: name }, strict);
export type KillQuery = Static<typeof KillQuery>;

export const Killed = Type.Object({ lease: Type.String() }, strict);
export type Killed = Static<typeof Killed>;

/** How a lease ended, as far as the daemon can see. Only the caller knows the command's exit code. */
export const LeaseEnd = Type.Union([
  /** The sandbox or its client ended. */
  Type.Literal("ended"),
  /** By `isolate kill`. */
  Type.Literal("killed"),
  /** Its client ended, and the remaining processes that held the lease were killed. */
  Type.Literal("cut-off"),
  /** It ended while no daemon ran. */
  Type.Literal("lost"),
]);
export type LeaseEnd = Static<typeof LeaseEnd>;

const moment = Type.String({ maxLength: 40, pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$" });

export const LogQuery = Type.Object(
  {
    /** A name or an id. */
    user: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    template: Type.Optional(name),
    end: Type.Optional(Type.Union([...LeaseEnd.anyOf, Type.Literal("running")])),
    /** Leases that began at or after `since`, and before `until`: ISO 8601, UTC. */
    since: Type.Optional(moment),
    until: Type.Optional(moment),
    /** The daemon returns fewer if that is too many for one answer. */
    limit: Type.String({ pattern: "^[0-9]{1,5}$" }),
    /** `next` of the previous answer; the entries after it are older. */
    cursor: Type.Optional(Type.String({ maxLength: 40, pattern: "^[0-9]{1,16}\\.[0-9]{1,16}$" })),
  },
  strict,
);
export type LogQuery = Static<typeof LogQuery>;

export const LogEntry = Type.Object(
  {
    ...sandbox,
    /** null while the lease lasts. */
    until: nullable(Type.String()),
    end: Type.Union([LeaseEnd, Type.Null()]),
    /** The user who killed it. */
    by: nullable(Type.String()),
  },
  strict,
);
export type LogEntry = Static<typeof LogEntry>;

export const Log = Type.Object(
  {
    /** Newest first. */
    entries: Type.Array(LogEntry),
    /** The number of entries that are missing here because they are not yet on the disk. */
    unsaved: Type.Integer(),
    /** The cursor of the next page, even if there are fewer entries than requested; null at the end. */
    next: Type.Union([Type.String(), Type.Null()]),
  },
  strict,
);
export type Log = Static<typeof Log>;

/** Facts that `isolate doctor` cannot see without the daemon. */
export const Health = Type.Object(
  {
    version: Type.String(),
    /** The result of each storage's check at the daemon's start. */
    storage: Type.Array(
      Type.Object(
        {
          driver: Type.String(),
          /** Why the storage cannot be used here, and the fix; null if it can. */
          wrong: nullable(Type.String()),
          fix: nullable(Type.String()),
        },
        strict,
      ),
    ),
    /** Free space where clones are written, and in the state directory. */
    space: Type.Array(
      Type.Object(
        {
          /** A dataset, or the directory's purpose. */
          place: Type.String(),
          /** Bytes. With a quota, its remainder. */
          free: Type.Integer(),
          total: Type.Integer(),
        },
        strict,
      ),
    ),
    limits: Type.Object({ leasesPerUser: Type.Integer(), held: Type.Integer() }, strict),
    /** The host ids that the daemon allocates to users without a range of their own. */
    ids: Type.Object(
      {
        /** The first id. */
        base: Type.Integer(),
        /** Who else owns the ids, or why none can be allocated, and the fix; null if all is well. */
        wrong: nullable(Type.String()),
        fix: nullable(Type.String()),
      },
      strict,
    ),
  },
  strict,
);
export type Health = Static<typeof Health>;
