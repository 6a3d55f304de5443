/** Mounts of datasets that are in no directory until they are attached. */
import { mkdirSync, mkdtempSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import {
  attachMount,
  cloneMount,
  closeDescriptor,
  hasErrno,
  MOUNT_ATTR,
  MS,
  mount,
  mountDetached,
  setMountAttributes,
  unmountLazily,
} from "../libc.ts";
import type { IdMap } from "./driver.ts";

/**
 * A descriptor of a new mount of the dataset, `nosuid,nodev`, whatever its `mountpoint` says.
 * While it is open the dataset is busy. `directory` is one that only root can enter.
 */
export function detachedMount(dataset: string, directory: string): number {
  try {
    return mountDetached("zfs", { source: dataset }, MOUNT_ATTR.nosuid | MOUNT_ATTR.nodev);
  } catch (error) {
    // ENOENT, EBUSY and so on are about the dataset, and mount(2) would say the same.
    if (!hasErrno(error, "ENOSYS", "EPERM", "EINVAL", "EOPNOTSUPP")) throw error;
    return takenFromDirectory(dataset, directory);
  }
}

/** The same by mount(2): the mount is in a directory for a moment. */
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

/** A new directory that only root can enter. */
export function privateDirectory(parent: string): string {
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  return mkdtempSync(join(parent, "mount-"));
}

/** Maps the mount's ids if told, attaches it, and closes the descriptor: ids can be mapped once, and the mount stays. */
export function attach(descriptor: number, at: string, to?: IdMap): void {
  try {
    if (to) mapIds(descriptor, to);
    attachMount(descriptor, at);
  } finally {
    closeDescriptor(descriptor);
  }
}

/** Only once, and before it is attached: mount_setattr(2). */
export function mapIds(descriptor: number, to: IdMap): void {
  setMountAttributes(descriptor, MOUNT_ATTR.idmap, to.userns);
}

/** Already absent is success. */
export function detach(at: string): void {
  try {
    unmountLazily(at);
  } catch (error) {
    // EINVAL: not a mount point (umount2(2)).
    if (!hasErrno(error, "EINVAL", "ENOENT")) throw error;
  }
}
