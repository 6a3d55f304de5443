/** Mounts of overlayfs with id-mapped layers, and the question whether one is still in use. */
import { closeSync, openSync } from "node:fs";
import { withIdMapped } from "../idmap/mount.ts";
import {
  closeInBackground,
  hasErrno,
  MS,
  mount,
  mountDetached,
  unmountInBackground,
  unmountLazily,
  withFileSystemIds,
} from "../libc.ts";
import type { IdMap } from "./driver.ts";
import type { WorkingLayer } from "./overlay-layout.ts";

/** The kernel takes one page of options; a layer's name in it is 38 characters long. */
export const mostLayers = 80;

export interface Stack {
  /** The directory that holds the lower layers. */
  readonly layers: string;
  /** Their names in it, topmost first. */
  readonly lower: readonly string[];
  readonly working: WorkingLayer;
}

/**
 * Mounts the stack at `at`. overlayfs itself cannot be id-mapped, so its layers are, and what it does on them it does
 * with the file-system ids of the one who mounts: they must be ids of the map, with the capabilities kept. Otherwise the
 * mount is read-only without a word. redirect_dir lets directories of lower layers be renamed.
 */
export function mountStack(stack: Stack, to: IdMap, at: string, slots: readonly string[] | undefined): void {
  withIdMapped([stack.layers, stack.working.home], to.userns, slots, ([layers, working]) => {
    const lower = stack.lower.map((name) => `${layers}/${name}`).join(":");
    const options = `lowerdir=${lower},upperdir=${working}/upper,workdir=${working}/work,redirect_dir=on,index=off,metacopy=off`;
    withFileSystemIds(to.uid, to.gid, () => mount("overlay", at, "overlay", MS.nosuid | MS.nodev, options));
  });
}

/** False when nothing is mounted there. */
export function unmountStack(at: string): boolean {
  try {
    unmountLazily(at);
    return true;
  } catch (error) {
    if (isNotMounted(error)) return false;
    throw error;
  }
}

/** A view's. Already absent is success. */
export async function unmountView(at: string): Promise<void> {
  await unmountInBackground(at).catch((error: unknown) => {
    if (!isNotMounted(error)) throw error;
  });
}

function isNotMounted(error: unknown): boolean {
  return hasErrno(error, "EINVAL", "ENOENT");
}

/**
 * Whether any mount of the layer is left: in another namespace, detached, or held by a file that is open. overlayfs
 * marks an upper directory for as long as its superblock lives, and with `index=on` refuses a second one (EBUSY). So we
 * try; a superblock that came to be is proof that no other is there. `empty` is any empty directory.
 */
export function isInUse(layer: WorkingLayer, empty: string): boolean {
  const [lower, home] = [openSync(empty, "r"), openSync(layer.home, "r")];
  try {
    const self = "/proc/self/fd";
    const upper = { upperdir: `${self}/${home}/upper`, workdir: `${self}/${home}/work` };
    closeInBackground(mountDetached("overlay", { lowerdir: `${self}/${lower}`, ...upper, index: "on" }, 0));
    return false;
  } catch (error) {
    if (hasErrno(error, "EBUSY")) return true;
    throw error;
  } finally {
    closeSync(lower);
    closeSync(home);
  }
}
