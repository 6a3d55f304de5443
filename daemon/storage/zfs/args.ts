/** The arguments of all zfs(8) commands that the driver runs. */
import type { CloneId, SnapshotName, TemplateName } from "../../../protocol/names.ts";

/**
 * User properties that mark our datasets. Children inherit them (zfsprops(7), "User Properties"), so a mark counts only
 * if its source is `local`: set on the dataset itself, neither inherited nor received.
 */
export const mark = {
  /** On a clone: the store that it belongs to. Two daemons on one pool never touch each other's clones. */
  store: "isolate:store",
  clone: "isolate:clone",
  template: "isolate:template",
  snapshot: "isolate:snapshot",
  /** On a template that `createTemplate` made: the store that made it. */
  madeBy: "isolate:made-by",
  /** On such a template until its first snapshot exists. */
  unfinished: "isolate:unfinished",
} as const;

const list = ["list", "-H", "-p"];
const get = ["get", "-H", "-p", "-o", "name,property,value,source"];
const set = (properties: Readonly<Record<string, string>>): string[] =>
  Object.entries(properties).flatMap(([name, value]) => ["-o", `${name}=${value}`]);

export const snapshotColumns = ["name", "createtxg", "creation", "written", "referenced"] as const;

/** The datasets and their snapshots, in one command. */
export function listSnapshots(datasets: readonly string[]): string[] {
  return [...list, "-d", "1", "-t", "filesystem,snapshot", "-o", snapshotColumns.join(","), ...datasets];
}

/** The time when each dataset last gained or lost a snapshot, in seconds since 1970 (OpenZFS 2.2). */
export function listChanges(datasets: readonly string[]): string[] {
  return [...list, "-t", "filesystem", "-o", "name,snapshots_changed", ...datasets];
}

/** For older versions: the snapshots themselves. */
export function listGuids(datasets: readonly string[]): string[] {
  return [...list, "-d", "1", "-t", "snapshot", "-o", "name,guid", ...datasets];
}

/** The free space below each dataset, including quotas (zfsprops(7), `available`). */
export function listSpace(datasets: readonly string[]): string[] {
  return [...list, "-t", "filesystem", "-o", "name,available,used", ...datasets];
}

/** Everything that would be destroyed with the dataset, or prevent its destruction. */
export function listDependents(dataset: string): string[] {
  return [...list, "-d", "1", "-t", "filesystem,volume,snapshot", "-o", "name,mounted,clones,userrefs", dataset];
}

const marksAndBytes = [...get, "-s", "local,none", "-t", "filesystem", ["used", ...Object.values(mark)].join(",")];

/** Own marks of every file system of a storage pool, and the bytes it uses (a fact of ZFS's own, whose source is `none`). */
export function getAllMarks(pool: string): string[] {
  return [...marksAndBytes.slice(0, 1), "-r", ...marksAndBytes.slice(1), pool];
}

/** The same for these datasets and their direct children. */
export function getMarksBelow(datasets: readonly string[]): string[] {
  return [...marksAndBytes.slice(0, 1), "-d", "1", ...marksAndBytes.slice(1), ...datasets];
}

/** The marks set on the dataset itself. */
export function getMarks(dataset: string): string[] {
  return [...get, "-s", "local", Object.values(mark).join(","), dataset];
}

export function typeOf(dataset: string): string[] {
  return [...list, "-t", "filesystem,volume", "-o", "type", dataset];
}

/** Which key the dataset needs, and whether it is loaded (zfs-load-key(8)). */
export function encryptionOf(dataset: string): string[] {
  return [...list, "-o", "keystatus,encryptionroot", dataset];
}

/**
 * What decides whether a root's access lists and file capabilities are seen, what a read and a write cost, and how much may
 * be written. Not what says where and how the template itself is mounted, nor its space among its siblings.
 */
const inheritedFromTemplate = [
  ...["acltype", "xattr", "atime", "relatime"],
  ...["sync", "compression", "checksum", "recordsize", "copies", "dedup", "logbias", "dnodesize"],
  ...["primarycache", "secondarycache", "redundant_metadata", "special_small_blocks", "refquota"],
];

/** A clone is its template's sibling and inherits from their parent, so it would lose the template's own properties. */
export function getTemplateProperties(template: TemplateName): string[] {
  return [...get, "-s", "local,received", inheritedFromTemplate.join(","), template];
}

export interface CloneRequest {
  readonly from: SnapshotName;
  readonly id: CloneId;
  readonly dataset: string;
  readonly store: string;
  readonly template: TemplateName;
  /** zfsprops(7) `refquota`. */
  readonly refquota: string;
  /** The template's own properties, which the clone also gets. */
  readonly properties: Readonly<Record<string, string>>;
}

/**
 * `legacy` keeps zfs-mount(8) and every service that mounts "all" away from it. The configured quota comes before the
 * template's. Where there is neither none is set: setting it takes a transaction group of its own.
 */
export function cloneProperties(request: CloneRequest): Readonly<Record<string, string>> {
  return {
    ...request.properties,
    mountpoint: "legacy",
    readonly: "off",
    setuid: "off",
    devices: "off",
    exec: "on",
    ...(request.refquota === "none" ? {} : { refquota: request.refquota }),
    "com.sun:auto-snapshot": "false",
    [mark.store]: request.store,
    [mark.clone]: request.id,
    [mark.template]: request.template,
    [mark.snapshot]: request.from,
  };
}

export function cloneSnapshot(request: CloneRequest): string[] {
  return ["clone", ...set(cloneProperties(request)), request.from, request.dataset];
}

/** Creates an ordinary dataset that root can mount, and that nothing mounts automatically. */
export function createTemplate(template: TemplateName, store: string): string[] {
  const properties = {
    canmount: "noauto",
    acltype: "posixacl",
    xattr: "sa",
    [mark.madeBy]: store,
    [mark.unfinished]: "on",
  };
  return ["create", ...set(properties), template];
}

export function markFinished(template: TemplateName): string[] {
  return ["inherit", mark.unfinished, template];
}

export function takeSnapshot(snapshot: SnapshotName): string[] {
  return ["snapshot", snapshot];
}

/** Never with `-r` or `-R`: datasets and snapshots that somebody made from ours belong to them. */
export function destroy(dataset: string): string[] {
  return ["destroy", dataset];
}

/** Destroys all snapshots of the dataset itself, or none if one of them has clones or is held (zfs-destroy(8)). */
export function destroySnapshots(dataset: string): string[] {
  return ["destroy", `${dataset}@%`];
}
