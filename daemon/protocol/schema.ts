/** The shapes that cross the socket. Nothing but the schema library is imported anywhere in `protocol/`. */
import { type Static, Type } from "@sinclair/typebox";

const strict = { additionalProperties: false } as const;
const name = Type.String({ maxLength: 1000 });

export const Empty = Type.Object({}, strict);

export const LeaseQuery = Type.Object(
  {
    template: name,
    /** Seconds that the caller is ready to wait for a clone. */
    wait: Type.Optional(Type.String({ pattern: "^[0-9]{1,5}$" })),
    /** What the caller says it will run; shown by `isolate ps` to the caller and to root, and believed by nobody. */
    command: Type.Optional(Type.String({ maxLength: 4096 })),
  },
  strict,
);
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
  },
  strict,
);
export type PoolRequest = Static<typeof PoolRequest>;

export const Pool = Type.Object(
  {
    template: Type.String(),
    driver: Type.String(),
    snapshot: Type.Union([Type.String(), Type.Null()]),
    /** Clones to keep ready. */
    size: Type.Integer(),
    creating: Type.Integer(),
    ready: Type.Integer(),
    leased: Type.Integer(),
    /** Given up and not yet destroyed, `failed` ones included. */
    retired: Type.Integer(),
    /** Retired, and the last attempt to destroy them failed. */
    failed: Type.Integer(),
    lastError: Type.Union([Type.String(), Type.Null()]),
  },
  strict,
);
export type Pool = Static<typeof Pool>;
export const Pools = Type.Array(Pool);

export const Lease = Type.Object(
  {
    lease: Type.String(),
    template: Type.String(),
    snapshot: Type.String(),
    user: Type.String(),
    uid: Type.Integer(),
    pid: Type.Integer(),
    command: Type.String(),
    /** ISO 8601. */
    since: Type.String(),
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
    snapshot: Type.Union([Type.String(), Type.Null()]),
    /** ISO 8601, of that snapshot. */
    created: Type.Union([Type.String(), Type.Null()]),
    /** Bytes that the template refers to; null where the storage cannot tell cheaply. */
    bytes: Type.Union([Type.Integer(), Type.Null()]),
  },
  strict,
);
export type Template = Static<typeof Template>;
export const Templates = Type.Array(Template);

export const Snapshot = Type.Object({ snapshot: Type.String() }, strict);
export type Snapshot = Static<typeof Snapshot>;
