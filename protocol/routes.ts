/** Every request that the daemon answers: method, path, access and shapes. Server and client are made from it. */
import type { Static, TSchema } from "@sinclair/typebox";
import { editPath, leasePath } from "./lease.ts";
import {
  EditQuery,
  Empty,
  Health,
  Killed,
  KillQuery,
  LeaseQuery,
  Leases,
  Log,
  LogQuery,
  PoolChange,
  PoolRequest,
  Pools,
  Snapshot,
  TemplateQuery,
  Templates,
} from "./schema.ts";

export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  /** `member`: members of the configured group, and root. */
  readonly access: "member" | "root";
  /** For the refusal: "cannot VERB: only root may". */
  readonly verb: string;
  readonly query: TSchema;
  /** `tar`: the body streams an archive. */
  readonly body?: TSchema | "tar";
  readonly reply: TSchema | "metrics";
}

/** The routes whose connection is upgraded and outlives the answer: see lease.ts. */
export type UpgradeName = "lease" | "edit";

export const routes = {
  lease: { method: "GET", path: leasePath, access: "member", verb: "lease a clone", query: LeaseQuery, reply: Empty },
  edit: { method: "GET", path: editPath, access: "root", verb: "edit a template", query: EditQuery, reply: Empty },
  pools: { method: "GET", path: "/v1/pools", access: "member", verb: "list pools", query: Empty, reply: Pools },
  setPool: {
    method: "PUT",
    path: "/v1/pools",
    access: "root",
    verb: "change a pool",
    query: Empty,
    body: PoolRequest,
    reply: PoolChange,
  },
  leases: { method: "GET", path: "/v1/leases", access: "member", verb: "list leases", query: Empty, reply: Leases },
  kill: {
    method: "DELETE",
    path: "/v1/leases",
    access: "member",
    verb: "end a lease",
    query: KillQuery,
    reply: Killed,
  },
  log: { method: "GET", path: "/v1/log", access: "member", verb: "read the log", query: LogQuery, reply: Log },
  metrics: {
    method: "GET",
    path: "/v1/metrics",
    access: "member",
    verb: "read metrics",
    query: Empty,
    reply: "metrics",
  },
  health: { method: "GET", path: "/v1/health", access: "member", verb: "ask for health", query: Empty, reply: Health },
  templates: {
    method: "GET",
    path: "/v1/templates",
    access: "member",
    verb: "list templates",
    query: Empty,
    reply: Templates,
  },
  createTemplate: {
    method: "POST",
    path: "/v1/templates",
    access: "root",
    verb: "create a template",
    query: TemplateQuery,
    body: "tar",
    reply: Snapshot,
  },
  removeTemplate: {
    method: "DELETE",
    path: "/v1/templates",
    access: "root",
    verb: "remove a template",
    query: TemplateQuery,
    reply: Empty,
  },
  snapshotTemplate: {
    method: "POST",
    path: "/v1/snapshots",
    access: "root",
    verb: "snapshot a template",
    query: TemplateQuery,
    reply: Snapshot,
  },
} as const satisfies Record<string, Route>;

export type Routes = typeof routes;
export type RouteName = keyof Routes;
export type QueryOf<Name extends RouteName> = Static<Routes[Name]["query"]>;
/** A string in Prometheus' text format if the reply is not JSON. */
export type ReplyOf<Name extends RouteName> = Routes[Name]["reply"] extends TSchema
  ? Static<Routes[Name]["reply"]>
  : string;
export type BodyOf<Name extends RouteName> = Routes[Name] extends { body: infer Body extends TSchema }
  ? Static<Body>
  : undefined;
