/** Id-mapped copies of mounts, mount_setattr(2). */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { closeDescriptor, closeInBackground } from "../linux/call.ts";
import { attachMount, cloneMount, MOUNT_ATTR, MS, mount, setMountAttributes, unmountLazily } from "../linux/mounts.ts";

/** A detached copy of the tree at `path` whose ids go through the user namespace. The caller closes it. */
export function cloneIdMapped(path: string, userns: number): number {
  const mount = cloneMount(path);
  try {
    setMountAttributes(mount, MOUNT_ATTR.idmap, userns);
    return mount;
  } catch (error) {
    closeDescriptor(mount);
    throw error;
  }
}

/**
 * Runs `act` with paths that lead into id-mapped copies of the trees at `paths`, for as long as it runs. The paths have
 * no character that an option string of mount(8) would need quoted.
 *
 * Linux before 6.15 takes no detached mount as an overlay's layer: `slots` then gives an empty directory for each, on a
 * private mount, where the copies are attached meanwhile.
 */
export function withIdMapped<T>(
  paths: readonly string[],
  userns: number,
  slots: readonly string[] | undefined,
  act: (mounted: readonly string[]) => T,
): T {
  const mounts: number[] = [];
  const attached: string[] = [];
  try {
    for (const path of paths) mounts.push(cloneIdMapped(path, userns));
    for (const [index, mount] of slots === undefined ? [] : mounts.entries()) {
      const slot = slots?.[index];
      if (slot === undefined) throw new Error(`no slot for mount ${index}`);
      attachMount(mount, slot);
      attached.push(slot);
    }
    return act(mounts.map((mount) => `/proc/self/fd/${mount}`));
  } finally {
    for (const slot of attached) unmountLazily(slot);
    for (const mount of mounts) void closeInBackground(mount);
  }
}

/**
 * Id-mapped copies of directories for many mounts: to make one and to let it go takes the kernel longer than what is done
 * with it. They are attached nowhere.
 */
export interface IdMappedCopies {
  /** A path that leads into the copy of the tree at `directory`. */
  of(directory: string, userns: number): string;
  /** The directory is removed: what it held is not free before. */
  forget(directory: string): void;
}

export function createIdMappedCopies(): IdMappedCopies {
  /** By the inode of the namespace, which is open with them: no other gets the number meanwhile. */
  const namespaces = new Map<number, { readonly open: number; readonly mounts: Map<string, number> }>();
  function copiesFor(userns: number): Map<string, number> {
    const { ino } = fstatSync(userns);
    const known = namespaces.get(ino);
    if (known) return known.mounts;
    const mounts = new Map<string, number>();
    namespaces.set(ino, { open: openSync(`/proc/self/fd/${userns}`, "r"), mounts });
    return mounts;
  }
  return {
    of(directory, userns) {
      const mounts = copiesFor(userns);
      const mount = mounts.get(directory) ?? cloneIdMapped(directory, userns);
      mounts.set(directory, mount);
      return `/proc/self/fd/${mount}`;
    },
    forget(directory) {
      for (const { mounts } of namespaces.values()) {
        const mount = mounts.get(directory);
        if (mount !== undefined) void closeInBackground(mount);
        mounts.delete(directory);
      }
    },
  };
}

/**
 * Makes the directory a private mount of its own. Private, since a copy of a shared mount stays in that mount's group, and
 * what is mounted in it would appear below the covered directory once more. (Linux 6.12 forgets what is set before the
 * attaching.)
 */
export function mountAlone(directory: string): void {
  const copy = cloneMount(directory);
  try {
    attachMount(copy, directory);
  } finally {
    closeDescriptor(copy);
  }
  mount(null, directory, null, MS.private, null);
}

/** Whether something is mounted at the directory: its mount is another than its parent's, proc_pid_fdinfo(5). */
export function isMountPoint(directory: string): boolean {
  return mountId(directory) !== mountId(dirname(directory));
}

function mountId(path: string): string | undefined {
  const fd = openSync(path, "r");
  try {
    return /^mnt_id:\s*([0-9]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1];
  } finally {
    closeSync(fd);
  }
}
