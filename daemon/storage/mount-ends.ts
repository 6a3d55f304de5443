/**
 * When what was mounted for a clone is used no more: by no mount in any namespace, and by no file that is open. The kernel
 * says so by itself; to ask would take a mount.
 */

import type { CloneId } from "../../protocol/names.ts";
import { endedFileSystems, openInotify, watchFileSystem } from "../linux/inotify.ts";

export interface MountEnds {
  /** From here on, of the file system at `path`, which is the only one of the clone. */
  watch(id: CloneId, path: string): void;
  /** Undefined where it is not watched. */
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
        // The host's limits, inotify(7): then it is not watched.
      }
    },
    hasEnded(id) {
      if (watched.get(id)?.ended === false) look();
      return watched.get(id)?.ended;
    },
    forget,
  };
}
