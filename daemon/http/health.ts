/** Facts for `isolate doctor` that only root can see. Changes nothing, and takes no path from a caller. */
import { statfs } from "node:fs/promises";
import type { Health as Facts } from "../../protocol/schema.ts";
import type { IdsHealth } from "../idmap/ids-health.ts";
import type { Keeper } from "../pools/keeper.ts";
import type { Store } from "../records/store.ts";
import { shared } from "../service/shared.ts";
import type { Storage } from "../storage/storage.ts";

export interface HealthOptions {
  readonly storage: Storage;
  readonly keeper: Pick<Keeper, "templates">;
  readonly store: Pick<Store, "heldBy">;
  readonly stateDirectory: string;
  /** The most clones of one user. */
  readonly limit: () => number;
  readonly version: string;
  /** Checks the ids that the daemon allocates. */
  readonly idsInUse: (uid: number) => Promise<IdsHealth>;
}

/** Returns the facts for that user. */
export type Health = (uid: number) => Promise<Facts>;

export function createHealth(options: HealthOptions): Health {
  const { storage, keeper, store, stateDirectory, limit, version, idsInUse } = options;
  const space = shared(async () => {
    const templates = keeper.templates();
    const spaces = storage
      .drivers()
      .map((driver) => driver.space(templates.filter((template) => storage.nameFor(template) === driver.name)));
    const { bavail, blocks, bsize } = await statfs(stateDirectory);
    const own = { place: "the state directory", free: bavail * bsize, total: blocks * bsize };
    return [own, ...(await Promise.all(spaces)).flat()];
  });
  return async (uid) => {
    return {
      version,
      storage: storage.checks().map(({ driver, failure }) => ({
        driver,
        wrong: failure?.message ?? null,
        fix: failure?.hint ?? null,
      })),
      space: await space(),
      limits: { leasesPerUser: limit(), held: store.heldBy(uid) },
      ids: await idsInUse(uid),
    };
  };
}
