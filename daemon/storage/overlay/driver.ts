/**
 * The storage driver `overlay`, for hosts without ZFS: a template is a stack of directories, a clone an upper directory
 * of overlayfs. Code that decides and acts on the store is synchronous, except for tar(1) and rm(1), which work in the
 * trash, where nothing else looks.
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
  /** The store's directory, on a file system that supports id-mapped mounts. Created if missing. */
  readonly directory: string;
  /** Distinguishes this daemon's clones and templates from others'; lives as long as the state directory. */
  readonly storeId: string;
  readonly log: { warn(details: object, message: string): void };
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Work as on Linux before 6.15 (see withIdMapped) even on a newer kernel. */
  readonly attachLayers?: boolean;
}

/** Only `check` works until `check` has succeeded. */
export function createOverlayDriver(options: OverlayOptions): StorageDriver {
  const { directory, storeId, log, now = Date.now, attachLayers = false } = options;
  let opened: OpenOverlay | undefined;
  const store = (): OpenOverlay => {
    if (!opened) throw new Error("the overlay store was not checked");
    return opened;
  };

  async function check(): Promise<void> {
    const found = openStore(directory, storeId, log);
    // Not awaited: nothing depends on the trees of an earlier daemon.
    found.trash.empty().catch((err: unknown) => log.warn({ err }, "cannot empty the trash"));
    try {
      opened = { ...found, copies: createIdMappedCopies(), slotsNeeded: await probe(found) };
    } catch (error) {
      if (!isFull(error)) throw error;
      // Start anyway, since only a running daemon destroys the clones that fill the disk. The method for old kernels
      // works on all.
      log.warn({ err: error }, "the overlay store is full: the kernel's features are not probed");
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
