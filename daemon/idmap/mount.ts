/** Id-mapped copies of mounts, mount_setattr(2). */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { closeDescriptor, closeInBackground } from "../linux/call.ts";
import { attachMount, cloneMount, MOUNT_ATTR, MS, mount, setMountAttributes, unmountLazily } from "../linux/mounts.ts";

/** Returns a detached copy of the tree at `path` with ids mapped by the user namespace. The caller must close it. */
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
 * Runs `act` with paths into id-mapped copies of the trees at `paths`, which are valid only during the call. The paths
 * need no quoting in an option string of mount(8).
 *
 * Linux before 6.15 accepts no detached mount as an overlay's layer. `slots` then has an empty directory for each, on a
 * private mount, where the copies are attached during the call.
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
 * Id-mapped copies of directories, kept for many mounts: making and releasing a copy takes the kernel longer than using
 * it. They are not attached.
 */
export interface IdMappedCopies {
  /** Returns a path into the copy of the tree at `directory`. */
  of(directory: string, userns: number): string;
  /** Releases the copies of a directory that is being removed; its space is not free before. */
  forget(directory: string): void;
}

export function createIdMappedCopies(): IdMappedCopies {
  /** By the namespace's inode. It is kept open, so no other namespace gets the same number. */
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
 * Makes the directory a separate, private mount. A copy of a shared mount would stay in that mount's peer group, and
 * mounts in it would appear a second time below the covered directory. (Linux 6.12 forgets a propagation type that is
 * set before attaching.)
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

/** Whether the directory is a mount point: its mount differs from its parent's, proc_pid_fdinfo(5). */
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
