/** Finishes or undoes, after a start, the work that a crash interrupted. */
import type { Logger } from "pino";
import type { TemplateName } from "../../protocol/names.ts";
import type { CloneRecord, Store } from "../records/store.ts";
import type { CloneInfo } from "../storage/driver.ts";
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

/** Compares the rows with what the storages hold: clones of ours without a row go, rows without a clone too. */
export async function reconcileStorage(options: ReconcileOptions): Promise<void> {
  const { store, storage, reclaimer, boot, log } = options;
  const readyBefore = [...store.clones()].filter((clone) => clone.state === "ready");
  for (const driver of storage.drivers()) {
    const silent: string[] = [];
    const found = await driver.list((place, error) => {
      silent.push(place);
      log.warn({ place, err: error }, "cannot compare the database with this part of the storage");
    });
    for (const { id, template, snapshot } of found) {
      if (store.clone(id)) continue;
      log.info({ clone: id }, "destroying a clone that is not in the database");
      store.creating({ id, template, snapshot, boot, made: 0n });
      reclaimer.retire(store.apply(id, "reclaim"));
    }
    const asked = readyBefore.filter(({ template }) => storage.nameFor(template) === driver.name);
    if (silent.length === 0) retireMissing(options, asked, found);
  }
}

type Retire = Pick<ReconcileOptions, "store" | "reclaimer" | "log">;

/** What somebody else destroyed. `found` was listed after the clones of `before` were ready. */
function retireMissing(
  { store, reclaimer, log }: Retire,
  before: Iterable<CloneRecord>,
  found: Iterable<CloneInfo>,
): void {
  const present = new Set([...found].map(({ id }) => id));
  for (const { id } of before) {
    if (store.clone(id)?.state !== "ready" || present.has(id)) continue;
    log.warn({ clone: id }, "a ready clone is gone from the storage");
    reclaimer.retire(store.apply(id, "reclaim"));
  }
}

/** Looks in the storage for all ready clones of a template, after one of them turned out to be gone. */
export async function retireMissingOf(
  template: TemplateName,
  options: Retire & Pick<ReconcileOptions, "storage">,
): Promise<void> {
  const before = [...options.store.clonesIn(template, "ready").values()];
  let silent = false;
  const found = await options.storage.of(template).list(() => {
    silent = true;
  });
  if (!silent) retireMissing(options, before, found);
}
