/**
 * Where the overlay store keeps what, and how it knows what is its own.
 *
 *     templates/NAME/mark
 *     templates/NAME/layers/STAMP/     a snapshot: what changed since the one before
 *     templates/NAME/layers/STAMP      a file: a snapshot that changed nothing
 *     templates/NAME/working/upper     changed since the last snapshot; working/work is the kernel's
 *     clones/ID/mark upper/ work/      a clone, which sees the layers up to its snapshot
 *     trash/                           half made or half deleted, see trash.ts
 *     empty/ slots/0 slots/1           for the mounts of overlay-mount.ts
 *
 * A mark tells which daemon made the thing, and of what. It is a symbolic link that nobody follows: unlike a file's,
 * its text is there as soon as its name is, even after a power failure.
 */
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { type SnapshotName, snapshotName, type TemplateName } from "../../../protocol/names.ts";
import { errnoOf } from "../failure.ts";
import { fits } from "../zfs/latest.ts";

export interface WorkingLayer {
  readonly home: string;
  readonly upper: string;
  readonly work: string;
  /** Worth nothing after a power failure, so that nothing of it need ever be written to disk. */
  readonly disposable: boolean;
}

export interface TemplatePaths {
  readonly home: string;
  readonly layers: string;
  readonly working: WorkingLayer;
}

function workingLayer(home: string, disposable: boolean): WorkingLayer {
  return { home, upper: join(home, "upper"), work: join(home, "work"), disposable };
}

export function cloneLayer(home: string): WorkingLayer {
  return workingLayer(home, true);
}

export function templateLayer(home: string): WorkingLayer {
  return workingLayer(home, false);
}

export function templatePaths(home: string): TemplatePaths {
  return { home, layers: join(home, "layers"), working: templateLayer(join(home, "working")) };
}

// --- Marks.

export function writeMark(home: string, storeId: string, what: string): void {
  symlinkSync(`${storeId} ${what}`, join(home, "mark"));
}

/** What was marked; undefined where there is no mark, or another store's. */
export function readMark(home: string, storeId: string): string | undefined {
  try {
    const [id, what] = readlinkSync(join(home, "mark")).split(" ");
    return id === storeId ? what : undefined;
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EINVAL"].includes(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
}

/** The snapshot that a clone's mark names. */
export function markedSnapshot(mark: string): SnapshotName | undefined {
  const [template, stamp, more] = mark.split("@");
  return template && stamp && more === undefined ? snapshotName(template as TemplateName, stamp) : undefined;
}

/** A template's name is one component: it has no slash, and does not begin with a dot. */
export function isOwnName(name: string): boolean {
  return !name.includes("/") && !name.startsWith(".") && name !== "";
}

// --- Snapshots.

export interface Layer {
  /** The part of the snapshot's name after the `@`. */
  readonly stamp: string;
  /** False for a snapshot that is the one before once more. */
  readonly changed: boolean;
}

const stampForm = /^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2}\.[0-9]{3})Z$/;

/** Names sort as the moments do, and need no quoting in an option of mount(8): ISO 8601's basic form, UTC. */
export function stampAt(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/[-:]/g, "");
}

export function stampTime(stamp: string): number {
  return Date.parse(stamp.replace(stampForm, "$1-$2-$3T$4:$5:$6Z"));
}

/** Later than every snapshot there is, even when the clock was set back. */
export function nextStamp(layers: readonly Layer[], now: number): string {
  const last = layers.at(-1);
  return stampAt(last === undefined ? now : Math.max(now, stampTime(last.stamp) + 1));
}

/** Oldest first. */
export function readLayers(directory: string): Layer[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => stampForm.test(entry.name))
    .map((entry) => ({ stamp: entry.name, changed: entry.isDirectory() }))
    .sort((a, b) => (a.stamp < b.stamp ? -1 : 1));
}

/** The directories that a snapshot consists of, topmost first; without a stamp, of the newest. */
export function stackUpTo(layers: readonly Layer[], stamp?: string): string[] {
  return layers
    .filter((layer) => layer.changed && (stamp === undefined || layer.stamp <= stamp))
    .map((layer) => layer.stamp)
    .reverse();
}

/** The newest whose stamp fits and that differs from the fitting one before it. */
export function latestLayer(layers: readonly Layer[], pattern = "*"): Layer | undefined {
  let chosen: Layer | undefined;
  let changed = false;
  for (const layer of layers) {
    changed ||= layer.changed;
    if (!fits(pattern, layer.stamp) || (chosen && !changed)) continue;
    chosen = layer;
    changed = false;
  }
  return chosen;
}

// --- Upper directories.

/** The upper directory and the work directory of a layer. The root of an overlay is like its topmost directory's. */
export function makeUpper(layer: WorkingLayer, like: string): WorkingLayer {
  const { mode, uid, gid, atime, mtime } = lstatSync(like);
  mkdirSync(layer.work, { mode: 0o700 });
  mkdirSync(layer.upper);
  chownSync(layer.upper, uid, gid);
  chmodSync(layer.upper, mode & 0o7777);
  utimesSync(layer.upper, atime, mtime);
  return layer;
}

/** Whether anything was written over `below`, the root directory itself included. */
export function upperChanged(upper: string, below: string): boolean {
  if (readdirSync(upper).length > 0) return true;
  const [now, before] = [lstatSync(upper), lstatSync(below)];
  return now.mode !== before.mode || now.uid !== before.uid || now.gid !== before.gid;
}
