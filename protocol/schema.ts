/** The shapes that cross the socket. Nothing but the schema library is imported anywhere in `protocol/`. */
import type { Static } from "@sinclair/typebox";
import * as Type from "@sinclair/typebox";

const nullable = <T extends Type.TSchema>(type: T) => Type.Union([type, Type.Null()]);
const strict = { additionalProperties: false } as const;
const name = Type.String({ maxLength: 1000 });

export const Empty = Type.Object({}, strict);

const leaseFields = {
  template: name,
  /** Seconds that the caller is ready to wait for a clone. */
  wait: Type.Optional(Type.String({ pattern: "^[0-9]{1,5}$" })),
  /** What the caller says it will run; shown by `isolate ps` to the caller and to root, and believed by nobody. */
  command: Type.Optional(Type.String({ maxLength: 4096 })),
};
const base = Type.Optional(Type.String({ maxLength: 100 }));

/** `uid` and `gid`: root's choice of ids, as `readBaseIds` takes it. */
export const LeaseQuery = Type.Object({ ...leaseFields, uid: base, gid: base }, strict);
export const EditQuery = Type.Object(leaseFields, strict);
export type LeaseQuery = Static<typeof LeaseQuery>;

export const TemplateQuery = Type.Object({ template: name }, strict);
export type TemplateQuery = Static<typeof TemplateQuery>;

/**
 * `size` is text as the user typed it, so that the one place that judges it is the daemon. Without it the pool keeps the
 * size that it has, or gets the configured one.
 */
export const PoolRequest = Type.Object(
  {
    template: name,
    size: Type.Optional(Type.String({ maxLength: 100 })),
    /** Replace every ready clone by a new one. */
    fresh: Type.Boolean(),
    /** Reclaim what is used and make none. */
    reclaimOnly: Type.Boolean(),
    /** `template` is the instance of a unit `isolate_regenerate@`, not a name as it is. */
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
    /** Given up and not yet destroyed, `failed` ones included. */
    retired: Type.Integer(),
    /** Retired, and the last attempt to destroy them failed. */
    failed: Type.Integer(),
    lastError: nullable(Type.String()),
    /** Bytes of the template with its snapshots; null where they are not counted yet. */
    bytes: nullable(Type.Integer()),
    /** Bytes that were written to its clones. */
    written: nullable(Type.Integer()),
    /** When the bytes were counted, ISO 8601: that goes on in the background and may be a while ago. */
    countedAt: nullable(Type.String()),
  },
  strict,
);
export type Pool = Static<typeof Pool>;
export const Pools = Type.Array(Pool);

/** `notes`: what root should know about the pool, a sentence each. */
export const PoolChange = Type.Object({ ...Pool.properties, notes: Type.Array(Type.String()) }, strict);
export type PoolChange = Static<typeof PoolChange>;

/** `run`: of a clone. `edit`: root's, of a template's own state. */
const kind = Type.Union([Type.Literal("run"), Type.Literal("edit")]);

export const Lease = Type.Object(
  {
    /** What `isolate kill` takes: the clone's name; of an edit the template's. */
    lease: Type.String(),
    kind,
    template: Type.String(),
    /** Of an edit there is none. */
    snapshot: nullable(Type.String()),
    user: Type.String(),
    uid: Type.Integer(),
    pid: Type.Integer(),
    command: Type.String(),
    /** ISO 8601. */
    since: Type.String(),
    /** Bytes written to the clone; null where they are not counted, as for an edit. */
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
    /** The snapshot that the next clone is made of. */
    snapshot: nullable(Type.String()),
    /** ISO 8601, of that snapshot. */
    created: nullable(Type.String()),
    /** Bytes that the template refers to; null where the storage cannot tell cheaply. */
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

/** A lease's whole name, or a part from its beginning that no other has. */
export const KillQuery = Type.Object({ lease: name }, strict);
export type KillQuery = Static<typeof KillQuery>;

export const Killed = Type.Object({ lease: Type.String() }, strict);
export type Killed = Static<typeof Killed>;

/** How a lease ended, as far as the daemon can see; the command's exit code is known to its caller alone. */
export const LeaseEnd = Type.Union([
  /** The sandbox or its client ended. */
  Type.Literal("ended"),
  /** By `isolate kill`. */
  Type.Literal("killed"),
  /** Its client ended, and what had been left holding the lease was ended too. */
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
    /** Begun at or after, and before: ISO 8601, UTC. */
    since: Type.Optional(moment),
    until: Type.Optional(moment),
    /** The daemon answers with fewer where that is too many for one answer. */
    limit: Type.String({ pattern: "^[0-9]{1,5}$" }),
    /** `next` of the answer before: what follows is older. */
    cursor: Type.Optional(Type.String({ maxLength: 40, pattern: "^[0-9]{1,16}\\.[0-9]{1,16}$" })),
  },
  strict,
);
export type LogQuery = Static<typeof LogQuery>;

export const LogEntry = Type.Object(
  {
    lease: Type.String(),
    kind,
    template: Type.String(),
    snapshot: nullable(Type.String()),
    user: Type.String(),
    uid: Type.Integer(),
    /** What the caller said it would run, as much of it as the configuration lets be recorded. */
    command: Type.String(),
    /** ISO 8601. */
    since: Type.String(),
    /** null while it runs. */
    until: nullable(Type.String()),
    end: Type.Union([LeaseEnd, Type.Null()]),
    /** Who killed it. */
    by: nullable(Type.String()),
  },
  strict,
);
export type LogEntry = Static<typeof LogEntry>;

export const Log = Type.Object(
  {
    /** The newest first. */
    entries: Type.Array(LogEntry),
    /** Entries that are not among these, since the disk has not taken them yet. */
    unsaved: Type.Integer(),
    /** The cursor to go on with, even where there are fewer entries than asked for; null at the end. */
    next: Type.Union([Type.String(), Type.Null()]),
  },
  strict,
);
export type Log = Static<typeof Log>;

/** What `isolate doctor` cannot see by itself. */
export const Health = Type.Object(
  {
    version: Type.String(),
    /** What each storage said at the daemon's start. */
    storage: Type.Array(
      Type.Object(
        {
          driver: Type.String(),
          /** Why it cannot serve here, and what fixes that; null where it can. */
          wrong: nullable(Type.String()),
          fix: nullable(Type.String()),
        },
        strict,
      ),
    ),
    /** Where clones are written, and the state directory. */
    space: Type.Array(
      Type.Object(
        {
          /** A dataset, or what the directory is for. */
          place: Type.String(),
          /** Bytes. With a quota, what is left of it. */
          free: Type.Integer(),
          total: Type.Integer(),
        },
        strict,
      ),
    ),
    limits: Type.Object({ leasesPerUser: Type.Integer(), held: Type.Integer() }, strict),
    /** The host ids that the daemon gives to users without a range of their own. */
    ids: Type.Object(
      {
        /** The first. */
        base: Type.Integer(),
        /** To whom they belong as well, or why none can be given, and what fixes that; null where all is well. */
        wrong: nullable(Type.String()),
        fix: nullable(Type.String()),
      },
      strict,
    ),
  },
  strict,
);
export type Health = Static<typeof Health>;
