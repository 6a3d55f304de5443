/** Detached mounts of datasets, which have no directory until they are attached. */
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { closeDescriptor, hasErrno } from "../../linux/call.ts";
import {
  attachMount,
  cloneMount,
  MOUNT_ATTR,
  MS,
  mount,
  mountDetached,
  mountDetachedInBackground,
  setMountAttributes,
  unmountInBackground,
  unmountLazily,
} from "../../linux/mounts.ts";
import type { IdMap } from "../driver.ts";

/**
 * Returns a descriptor of a new mount of the dataset, `nosuid,nodev`, regardless of its `mountpoint`.
 * While it is open, the dataset is busy. Only root may be able to enter `directory`.
 */
export function detachedMount(dataset: string, directory: string): number {
  try {
    return mountDetached("zfs", { source: dataset }, attributes);
  } catch (error) {
    return elseFromDirectory(error, dataset, directory);
  }
}

/** The same, in another thread. */
export async function detachedMountInBackground(dataset: string, directory: string): Promise<number> {
  try {
    return await mountDetachedInBackground("zfs", { source: dataset }, attributes);
  } catch (error) {
    return elseFromDirectory(error, dataset, directory);
  }
}

const attributes = MOUNT_ATTR.nosuid | MOUNT_ATTR.nodev;

/** Falls back to mount(2), except after errors such as ENOENT or EBUSY: mount(2) would fail with them too. */
function elseFromDirectory(error: unknown, dataset: string, directory: string): number {
  if (!hasErrno(error, "ENOSYS", "EPERM", "EINVAL", "EOPNOTSUPP")) throw error;
  return takenFromDirectory(dataset, directory);
}

/** The same with mount(2), which attaches the mount to a directory for a moment. */
export function takenFromDirectory(dataset: string, directory: string): number {
  return inDirectory(directory, (at) => {
    mount(dataset, at, "zfs", MS.nosuid | MS.nodev, null);
    try {
      return cloneMount(at);
    } finally {
      unmountLazily(at);
    }
  });
}

function inDirectory<T>(directory: string, act: (at: string) => T): T {
  const at = privateDirectory(directory);
  try {
    return act(at);
  } finally {
    rmdirSync(at);
  }
}

/** Makes a new directory that only root can enter. */
export function privateDirectory(parent: string): string {
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  return mkdtempSync(join(parent, "mount-"));
}

/** Maps the mount's ids if requested, attaches it, and closes the descriptor. The mount stays. */
export function attach(descriptor: number, at: string, to?: IdMap): void {
  try {
    if (to) mapIds(descriptor, to);
    attachMount(descriptor, at);
  } finally {
    closeDescriptor(descriptor);
  }
}

/** Maps the ids, which works only once and before the mount is attached: mount_setattr(2). */
export function mapIds(descriptor: number, to: IdMap): void {
  setMountAttributes(descriptor, MOUNT_ATTR.idmap, to.userns);
}

/** Succeeds if it is already absent. */
export function detach(at: string): void {
  try {
    unmountLazily(at);
  } catch (error) {
    if (!isNotMounted(error)) throw error;
  }
}

/** The same in another thread: unmounting a dataset's last mount waits until all writes are on the disk. */
export async function detachInBackground(at: string): Promise<void> {
  await unmountInBackground(at).catch((error: unknown) => {
    if (!isNotMounted(error)) throw error;
  });
}

/** EINVAL: not a mount point (umount2(2)). */
function isNotMounted(error: unknown): boolean {
  return hasErrno(error, "EINVAL", "ENOENT");
}

/** Whether any directory of this mount namespace is a mount of the dataset, proc_pid_mountinfo(5). */
export function isMountedHere(dataset: string): boolean {
  return readFileSync("/proc/self/mountinfo", "utf8").includes(` - zfs ${dataset.replaceAll(" ", "\\040")} `);
}
