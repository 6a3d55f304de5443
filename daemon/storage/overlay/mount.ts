/** Mounts overlayfs with id-mapped layers, and finds out whether a mount is still in use. */
import { closeSync, existsSync, mkdirSync, openSync, rmdirSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type IdMappedCopies, withIdMapped } from "../../idmap/mount.ts";
import { closeDescriptor, hasErrno, SystemCallError } from "../../linux/call.ts";
import { withFileSystemIds } from "../../linux/files.ts";
import {
  isReadOnly,
  MOUNT_ATTR,
  type MountOptions,
  MS,
  mount,
  mountDetached,
  unmountInBackground,
  unmountLazily,
} from "../../linux/mounts.ts";
import type { IdMap } from "../driver.ts";
import { errnoOf } from "../failure.ts";
import type { WorkingLayer } from "./layout.ts";

/** The kernel accepts one page of options; the name of a layer takes 38 characters. */
export const mostLayers = 80;

/** The kernel accepts no longer value of an option of a detached mount, fsconfig(2). */
const longestValue = 256;

/** The directories where layers are attached on old kernels, see withIdMapped. */
type Slots = readonly string[] | undefined;
type Options = MountOptions & { readonly workdir: string };

export interface Stack {
  /** The directory that holds the lower layers. */
  readonly layers: string;
  /** Their names in it, topmost first. */
  readonly lower: readonly string[];
  readonly working: WorkingLayer;
}

/**
 * Mounts the stack at `at`. overlayfs itself cannot be id-mapped, so its layers are. overlayfs accesses them with the
 * file-system ids of the mounter, which must be ids of the map, with the capabilities kept; otherwise the mount
 * silently becomes read-only. redirect_dir allows directories of lower layers to be renamed. Throws if the mount would
 * be read-only.
 */
export function mountStack(stack: Stack, to: IdMap, at: string, slots: Slots): void {
  withIdMapped([stack.layers, stack.working.home], to.userns, slots, ([layers = "", working = ""]) => {
    mountWith(stack, to, optionsOf(stack, layers, working), (options) => mountAt(at, options));
  });
}

function mountAt(at: string, options: Options): void {
  const text = Object.entries(options).map(([name, value]) => (value === true ? name : `${name}=${value}`));
  mount("overlay", at, "overlay", MS.nosuid | MS.nodev, text.join(","));
  if (!isReadOnly(at)) return;
  unmountLazily(at);
  throw whyReadOnly(options);
}

/**
 * The same without a path: returns a descriptor of the mount; `undefined` if a name, or the stack, is too long for
 * fsconfig(2). Keeps the id-mapped copies if this kernel accepts them detached.
 */
export function mountStackDetached(stack: Stack, to: IdMap, slots: Slots, copies: IdMappedCopies): number | undefined {
  const { layers, working } = stack;
  if (slots === undefined) {
    const home = join(copies.of(dirname(working.home), to.userns), basename(working.home));
    return mountWith(stack, to, optionsOf(stack, copies.of(layers, to.userns), home), detached);
  }
  return withIdMapped([layers, working.home], to.userns, slots, ([lower = "", home = ""]) =>
    mountWith(stack, to, optionsOf(stack, lower, home), detached),
  );
}

function detached(options: Options): number | undefined {
  if (Object.values(options).some((value) => value !== true && value.length >= longestValue)) return undefined;
  const mounted = mountDetached("overlay", options, MOUNT_ATTR.nosuid | MOUNT_ATTR.nodev);
  if (!isReadOnly(`/proc/self/fd/${mounted}`)) return mounted;
  closeDescriptor(mounted);
  throw whyReadOnly(options);
}

/** `layers` and `home` are paths into the id-mapped copies. */
function optionsOf({ lower }: Stack, layers: string, home: string): Options {
  const lowerdir = lower.map((name) => `${layers}/${name}`).join(":");
  const upper = { upperdir: `${home}/upper`, workdir: `${home}/work` };
  return { lowerdir, ...upper, redirect_dir: "on", index: "off", metacopy: "off" };
}

function mountWith<T>({ working }: Stack, to: IdMap, options: Options, act: (options: Options) => T): T {
  return unsynced(working, (kind) => withFileSystemIds(to.uid, to.gid, () => act({ ...options, ...kind })));
}

/** overlayfs mounts read-only if it cannot make a directory in its work directory. Trying the same tells the reason. */
function whyReadOnly({ workdir }: Options): unknown {
  try {
    const trial = `${workdir}/writable`;
    mkdirSync(trial);
    rmdirSync(trial);
    return new SystemCallError("mount", "EROFS", "overlayfs could not write to its work directory");
  } catch (error) {
    return error;
  }
}

/**
 * Mounts a disposable layer so that it never waits for a disk. Otherwise the end of each mount, and each fsync(2)
 * inside, waits until the host's file system has written all its dirty data, whoever wrote it. As a guard against a
 * power failure, the kernel leaves a directory behind, and mounts the layer again only after its removal (the kernel's
 * overlayfs.rst, "Volatile mount"). A crash may have interrupted that removal. The kernel refuses a volatile mount if
 * there is no space for this directory, and if an earlier write to that file system has failed unnoticed; an ordinary
 * mount then works.
 */
function unsynced<T>({ work, disposable }: WorkingLayer, act: (kind: { readonly volatile?: true }) => T): T {
  if (!disposable) return act({});
  clearMark(work);
  try {
    return act({ volatile: true });
  } catch (error) {
    if (hasErrno(error, "EBUSY")) throw error;
    clearMark(work);
    return act({});
  }
}

function clearMark(work: string): void {
  const left = join(work, "work/incompat");
  if (!existsSync(left)) return;
  unlessAbsent(() => unlinkSync(join(left, "volatile/dirty")));
  unlessAbsent(() => rmdirSync(join(left, "volatile")));
  rmdirSync(left);
}

function unlessAbsent(remove: () => void): void {
  try {
    remove();
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** Returns `false` if nothing is mounted there. */
export function unmountStack(at: string): boolean {
  try {
    unmountLazily(at);
    return true;
  } catch (error) {
    if (isNotMounted(error)) return false;
    throw error;
  }
}

/** Unmounts a view. Succeeds if it is already absent. */
export async function unmountView(at: string): Promise<void> {
  await unmountInBackground(at).catch((error: unknown) => {
    if (!isNotMounted(error)) throw error;
  });
}

function isNotMounted(error: unknown): boolean {
  return hasErrno(error, "EINVAL", "ENOENT");
}

/** Whether the layer was ever mounted: overlayfs makes a directory in the work directory at its first mount. */
export function wasMounted(layer: WorkingLayer): boolean {
  return existsSync(join(layer.work, "work"));
}

/**
 * Whether any mount of the layer is left: in another namespace, detached, or held by an open file. overlayfs marks an
 * upper directory for as long as its superblock lives, and with `index=on` refuses a second one (EBUSY). So a trial
 * mount that succeeds proves that there is no other. `empty` is any empty directory.
 *
 * The trial mount ends immediately: another mount of the layer meanwhile would find the directory in use, and silently
 * continue without its own mark.
 */
export function isInUse(layer: WorkingLayer, empty: string): boolean {
  if (!wasMounted(layer)) return false;
  const trial = openTrial(layer, empty);
  try {
    closeDescriptor(unsynced(layer, (kind) => mountDetached("overlay", { ...trial.options, ...kind }, 0)));
    return false;
  } catch (error) {
    if (hasErrno(error, "EBUSY")) return true;
    throw error;
  } finally {
    trial.close();
  }
}

/** Waits for a released layer: a program that is just being started may still use it until its execve(2). */
export async function awaitRelease(layer: WorkingLayer, empty: string): Promise<void> {
  for (const pause of [5, 20, 100, 500]) {
    if (!isInUse(layer, empty)) return;
    await sleep(pause);
  }
}

function openTrial(layer: WorkingLayer, empty: string) {
  const [lower, home] = [openSync(empty, "r"), openSync(layer.home, "r")];
  const self = "/proc/self/fd";
  const upper = { upperdir: `${self}/${home}/upper`, workdir: `${self}/${home}/work` };
  return {
    options: { lowerdir: `${self}/${lower}`, ...upper, index: "on" } as const,
    close(): void {
      closeSync(lower);
      closeSync(home);
    },
  };
}
