/** One handler for each route: from the request's shape to a call, and back. No logic. */
import type { Readable } from "node:stream";
import type { Accounts } from "../accounts.ts";
import type { Leases } from "../leases/leases.ts";
import type { Pools } from "../leases/pools.ts";
import { splitSnapshotName } from "../protocol/names.ts";
import type { BodyOf, QueryOf, ReplyOf, RouteName, UpgradeName } from "../protocol/routes.ts";
import type { Peer } from "./peer.ts";

export interface Call<Name extends RouteName> {
  readonly peer: Peer;
  readonly query: QueryOf<Name>;
  readonly body: BodyOf<Name> extends undefined ? Readable : BodyOf<Name>;
}

/** All routes but those that are upgraded: see lease-socket.ts. */
export type Handlers = {
  readonly [Name in Exclude<RouteName, UpgradeName>]: (call: Call<Name>) => Promise<ReplyOf<Name>>;
};

export function createHandlers({
  pools,
  leases,
  accounts,
}: {
  pools: Pools;
  leases: Leases;
  accounts: Accounts;
}): Handlers {
  return {
    pools: async () => pools.list(),
    setPool: ({ body }) => pools.set(body),
    leases: ({ peer }) =>
      Promise.all(
        leases
          .list()
          .filter(({ lease }) => peer.uid === 0 || lease?.uid === peer.uid)
          .map(async ({ id, template, snapshot, lease }) => ({
            lease: id,
            template,
            snapshot: splitSnapshotName(snapshot).snapshot,
            user: await accounts.userName(lease?.uid ?? 0),
            uid: lease?.uid ?? 0,
            pid: lease?.pid ?? 0,
            command: lease?.command ?? "",
            since: new Date(lease?.since ?? 0).toISOString(),
          })),
      ),
    templates: () => pools.templates(),
    createTemplate: async ({ query, body }) => ({ snapshot: await pools.createTemplate(query.template, body) }),
    removeTemplate: async ({ query }) => {
      await pools.removeTemplate(query.template);
      return {};
    },
    snapshotTemplate: async ({ query }) => ({ snapshot: await pools.snapshotTemplate(query.template) }),
  };
}
