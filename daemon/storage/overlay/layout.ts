/**
 * The layout of the overlay store, and the marks by which it recognizes its own directories.
 *
 *     templates/NAME/mark
 *     templates/NAME/layers/STAMP/     a snapshot: the changes since the previous one
 *     templates/NAME/layers/STAMP      a file: a snapshot without changes
 *     templates/NAME/working/upper     the changes since the last snapshot; working/work belongs to the kernel
 *     clones/ID/mark upper/ work/      a clone, on the layers up to its snapshot
 *     trash/                           half made or half deleted trees, see trash.ts
 *     empty/ slots/0 slots/1           for the mounts of mount.ts
 *
 * A mark tells which daemon made the directory, and from what. It is a symbolic link that is never followed: unlike a
 * file's content, its text exists as soon as its name does, even after a power failure.
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
  /** Worthless after a power failure, so that it need never be written to disk. */
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

/** Returns the text of the mark; `undefined` if there is none, or if it is another store's. */
export function readMark(home: string, storeId: string): string | undefined {
  try {
    const [id, what] = readlinkSync(join(home, "mark")).split(" ");
    return id === storeId ? what : undefined;
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EINVAL"].includes(errnoOf(error) ?? "")) return undefined;
    throw error;
  }
}

/** Returns the snapshot that a clone's mark names. */
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
  /** `false` for a snapshot without changes since the previous one. */
  readonly changed: boolean;
}

const stampForm = /^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2}\.[0-9]{3})Z$/;

/** ISO 8601's basic format in UTC: names sort by time, and need no quoting in an option of mount(8). */
export function stampAt(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/[-:]/g, "");
}

export function stampTime(stamp: string): number {
  return Date.parse(stamp.replace(stampForm, "$1-$2-$3T$4:$5:$6Z"));
}

/** Returns a stamp later than every existing snapshot, even if the clock was set back. */
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

/** Returns the directories of a snapshot, topmost first; without a stamp, of the newest one. */
export function stackUpTo(layers: readonly Layer[], stamp?: string): string[] {
  return layers
    .filter((layer) => layer.changed && (stamp === undefined || layer.stamp <= stamp))
    .map((layer) => layer.stamp)
    .reverse();
}

/** Returns the newest matching layer that differs from the previous matching one. */
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

/** Makes a layer's upper and work directories. The overlay's root directory gets the attributes of `like`. */
export function makeUpper(layer: WorkingLayer, like: string): WorkingLayer {
  const { mode, uid, gid, atime, mtime } = lstatSync(like);
  mkdirSync(layer.work, { mode: 0o700 });
  mkdirSync(layer.upper);
  chownSync(layer.upper, uid, gid);
  chmodSync(layer.upper, mode & 0o7777);
  utimesSync(layer.upper, atime, mtime);
  return layer;
}

/** Whether `upper` changes anything of `below`, including the root directory itself. */
export function upperChanged(upper: string, below: string): boolean {
  if (readdirSync(upper).length > 0) return true;
  const [now, before] = [lstatSync(upper), lstatSync(below)];
  return now.mode !== before.mode || now.uid !== before.uid || now.gid !== before.gid;
}
