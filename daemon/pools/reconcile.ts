/** Finishes or undoes, after a start, the work that a crash interrupted. */
import type { Logger } from "pino";
import type { Store } from "../records/store.ts";
import type { Storage } from "../storage/storage.ts";
import type { Reclaimer } from "./reclaimer.ts";

export interface ReconcileOptions {
  readonly store: Store;
  readonly storage: Storage;
  readonly reclaimer: Reclaimer;
  readonly boot: string;
  readonly log: Logger;
}

/**
 * Uses only the rows. A clone of an earlier boot is never leased, because the host may have lost the row of an earlier
 * lease.
 */
export function reconcileRows({ store, reclaimer, boot }: ReconcileOptions): void {
  for (const clone of [...store.clones()]) {
    const sameBoot = clone.boot === boot;
    if (clone.state === "creating" || (clone.state === "ready" && !sameBoot)) {
      reclaimer.retire(store.apply(clone.id, "reclaim"));
    } else if (clone.state === "retired") {
      reclaimer.retire(clone);
    }
  }
}

/** Compares the rows with the storages: destroys our clones that have no row, and removes rows that have no clone. */
export async function reconcileStorage({ store, storage, reclaimer, boot, log }: ReconcileOptions): Promise<void> {
  const readyBefore = [...store.clones()].filter((clone) => clone.state === "ready");
  for (const driver of storage.drivers()) {
    const found = await driver.list();
    for (const { id, template, snapshot } of found) {
      if (store.clone(id)) continue;
      log.info({ clone: id }, "destroying a clone without a row");
      store.creating({ id, template, snapshot, boot, made: 0n });
      reclaimer.retire(store.apply(id, "reclaim"));
    }
    const present = new Set(found.map(({ id }) => id));
    for (const { id, template } of readyBefore) {
      const ours = storage.nameFor(template) === driver.name && store.clone(id)?.state === "ready";
      if (!ours || present.has(id)) continue;
      log.warn({ clone: id }, "a ready clone is gone from the storage");
      reclaimer.retire(store.apply(id, "reclaim"));
    }
  }
}
