/** One handler for each route: turns the request into a call, and its result into the reply. No logic. */
import type { Readable } from "node:stream";
import type { BodyOf, QueryOf, ReplyOf, RouteName, UpgradeName } from "../../protocol/routes.ts";
import type { Sandboxes } from "../leases/sandboxes.ts";
import type { Pools } from "../pools/pools.ts";
import type { Usage } from "../pools/usage.ts";
import type { LeaseLog } from "../records/lease-log.ts";
import type { Accounts } from "../service/accounts.ts";
import type { Metrics } from "../service/metrics.ts";
import type { Health } from "./health.ts";
import { readLogQuery, writeCursor } from "./log-query.ts";
import type { Peer } from "./peers.ts";

export interface Call<Name extends RouteName> {
  readonly peer: Peer;
  readonly query: QueryOf<Name>;
  readonly body: BodyOf<Name> extends undefined ? Readable : BodyOf<Name>;
}

/** All routes except the upgraded ones: see upgrade.ts. */
export type Handlers = {
  readonly [Name in Exclude<RouteName, UpgradeName>]: (call: Call<Name>) => Promise<ReplyOf<Name>>;
};

export interface HandlersOptions {
  readonly pools: Pools;
  readonly sandboxes: Sandboxes;
  readonly usage: Usage;
  readonly leaseLog: Pick<LeaseLog, "read">;
  readonly health: Health;
  readonly metrics: Pick<Metrics, "text">;
  readonly accounts: Accounts;
}

export function createHandlers(options: HandlersOptions): Handlers {
  const { pools, sandboxes, usage, leaseLog, health, metrics, accounts } = options;
  return {
    pools: () => pools.list(),
    setPool: ({ body }) => pools.set(body),
    async leases({ peer }) {
      const figures = await usage.read();
      return Promise.all(
        sandboxes.visibleTo(peer.uid).map(async ({ clone, since, ...sandbox }) => ({
          ...sandbox,
          user: await accounts.shownName(sandbox.uid),
          since: new Date(since).toISOString(),
          written: (clone && figures.ofClone(sandbox.template, clone)) ?? null,
          countedAt: clone && figures.countedAt(sandbox.template),
        })),
      );
    },
    kill: async ({ peer, query }) => ({ lease: await sandboxes.kill(query.lease, peer.uid) }),
    async log({ peer, query }) {
      const { entries, unsaved, next } = leaseLog.read(await readLogQuery(query, peer.uid, accounts));
      const named = entries.map(async ({ since, until, by, ...entry }) => ({
        ...entry,
        user: await accounts.shownName(entry.uid),
        since: new Date(since).toISOString(),
        until: until === null ? null : new Date(until).toISOString(),
        by: by === null ? null : await accounts.shownName(by),
      }));
      return { entries: await Promise.all(named), unsaved, next: next ? writeCursor(next) : null };
    },
    metrics: () => metrics.text(),
    health: ({ peer }) => health(peer.uid),
    templates: () => pools.templates(),
    createTemplate: async ({ query, body }) => ({ snapshot: await pools.createTemplate(query.template, body) }),
    removeTemplate: async ({ query }) => {
      await pools.removeTemplate(query.template);
      return {};
    },
    snapshotTemplate: async ({ query }) => ({ snapshot: await pools.snapshotTemplate(query.template) }),
  };
}
