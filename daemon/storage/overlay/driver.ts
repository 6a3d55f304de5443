/**
 * The storage driver `overlay`, for hosts without ZFS: a template is a stack of directories, a clone an upper directory
 * of overlayfs. What decides and acts on the store is synchronous; only tar(1) and rm(1) are waited for, and they work
 * in the trash, where nobody else looks.
 */

import { dirname } from "node:path";
import { createIdMappedCopies } from "../../idmap/mount.ts";
import type { StorageDriver } from "../driver.ts";
import { isFull, storing } from "../failure.ts";
import { probeOverlay } from "./check.ts";
import { createClones } from "./clones.ts";
import { unmountStack } from "./mount.ts";
import { type OpenOverlay, type OverlayStore, openStore } from "./store.ts";
import { createTemplates } from "./templates.ts";
import { createUsage } from "./usage.ts";

export interface OverlayOptions {
  /** The store's own, on a file system that takes id-mapped mounts. Made where it is missing. */
  readonly directory: string;
  /** Tells this daemon's clones and templates from every other's; kept for as long as its state directory is. */
  readonly storeId: string;
  readonly log: { warn(details: object, message: string): void };
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Work as on Linux before 6.15 (see withIdMapped) whatever this kernel can. */
  readonly attachLayers?: boolean;
}

/** Nothing but `check` works before `check` did. */
export function createOverlayDriver(options: OverlayOptions): StorageDriver {
  const { directory, storeId, log, now = Date.now, attachLayers = false } = options;
  let opened: OpenOverlay | undefined;
  const store = (): OpenOverlay => {
    if (!opened) throw new Error("the overlay store was not checked");
    return opened;
  };

  async function check(): Promise<void> {
    const found = openStore(directory, storeId, log);
    // Only what is in it now: nobody waits for what an earlier daemon left.
    found.trash.empty().catch((err: unknown) => log.warn({ err }, "cannot empty the trash"));
    try {
      opened = { ...found, copies: createIdMappedCopies(), slotsNeeded: await probe(found) };
    } catch (error) {
      if (!isFull(error)) throw error;
      // The clones that fill the disk are destroyed by a daemon that runs. The way of old kernels works on all.
      log.warn({ err: error }, "the overlay store is full: this host's kernel is not probed");
      opened = { ...found, copies: createIdMappedCopies(), slotsNeeded: found.slots() };
    }
  }

  async function probe(found: OverlayStore): Promise<readonly string[] | undefined> {
    const scratch = found.trash.fresh("check");
    try {
      return await probeOverlay(scratch, found.empty, found.slots, attachLayers);
    } finally {
      await found.trash.remove(scratch);
    }
  }

  return {
    name: "overlay",
    check: () => storing("open the overlay store", check),
    close() {
      if (opened?.slotsNeeded) unmountStack(dirname(opened.slotsNeeded[0] ?? ""));
    },
    ...createTemplates(store, now),
    ...createClones(store),
    ...createUsage(store),
  };
}
