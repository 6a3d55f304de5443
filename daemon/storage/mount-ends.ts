/**
 * Tells when a clone's file system is no longer in use, by a mount in any namespace or by an open file. The kernel
 * reports this; to ask would take a mount.
 */

import type { CloneId } from "../../protocol/names.ts";
import { endedFileSystems, openInotify, watchFileSystem } from "../linux/inotify.ts";

export interface MountEnds {
  /** Starts to watch the file system at `path`, which is the clone's only one. */
  watch(id: CloneId, path: string): void;
  /** Returns `undefined` if the clone is not watched. */
  hasEnded(id: CloneId): boolean | undefined;
  forget(id: CloneId): void;
}

export function createMountEnds(): MountEnds {
  const watched = new Map<CloneId, { readonly watch: number; ended: boolean }>();
  const byWatch = new Map<number, CloneId>();
  let inotify: number | undefined;

  function forget(id: CloneId): void {
    const before = watched.get(id);
    if (before) byWatch.delete(before.watch);
    watched.delete(id);
  }

  function look(): void {
    const ended = inotify === undefined ? [] : endedFileSystems(inotify);
    if (ended === undefined) {
      watched.clear();
      byWatch.clear();
    }
    for (const watch of ended ?? []) {
      const found = watched.get(byWatch.get(watch) ?? ("" as CloneId));
      if (found) found.ended = true;
    }
  }

  return {
    watch(id, path) {
      forget(id);
      try {
        inotify ??= openInotify();
        const watch = watchFileSystem(inotify, path);
        watched.set(id, { watch, ended: false });
        byWatch.set(watch, id);
      } catch {
        // A limit of the host, inotify(7): the clone is then not watched.
      }
    },
    hasEnded(id) {
      if (watched.get(id)?.ended === false) look();
      return watched.get(id)?.ended;
    },
    forget,
  };
}
