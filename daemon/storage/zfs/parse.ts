/** Parses the output of zfs(8) with `-H -p`: one line for each item, columns separated by tabs, exact numbers. */
import { isCloneId, type SnapshotName, type TemplateName } from "../../../protocol/names.ts";
import type { CloneInfo, Space } from "../driver.ts";
import { mark } from "./args.ts";

function rows(output: string): string[][] {
  return output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t"));
}

/** The storage pool that a dataset is in. */
export function poolOf(dataset: string): string {
  return dataset.split(/[/@]/, 1)[0] ?? "";
}

export interface Snapshot {
  readonly name: SnapshotName;
  /** The transaction group of its creation: the only order that does not depend on a clock. */
  readonly createtxg: number;
  /** Seconds since 1970. */
  readonly creation: number;
  /** Bytes written since the previous snapshot; 0 if nothing changed. */
  readonly written: number;
  readonly referenced: number;
}

/** Parses `listSnapshots`: each file system among `wanted`, with its snapshots in the order of creation. */
export function parseSnapshots(output: string, wanted: readonly TemplateName[]): Map<TemplateName, Snapshot[]> {
  const lines = rows(output);
  const names = new Set(lines.map(([name = ""]) => name));
  const found = new Map<string, Snapshot[]>(wanted.filter((name) => names.has(name)).map((name) => [name, []]));
  for (const [name = "", createtxg, creation, written, referenced] of lines) {
    const at = name.indexOf("@");
    if (at < 0) continue;
    found.get(name.slice(0, at))?.push({
      name: name as SnapshotName,
      createtxg: Number(createtxg),
      creation: Number(creation),
      written: Number(written),
      referenced: Number(referenced),
    });
  }
  for (const snapshots of found.values()) snapshots.sort((a, b) => a.createtxg - b.createtxg);
  return found as Map<TemplateName, Snapshot[]>;
}

/** Of `listSnapshots`: the file systems right below each of `wanted`. */
export function parseChildren(output: string, wanted: readonly TemplateName[]): Map<TemplateName, readonly string[]> {
  const datasets = rows(output).flatMap(([name = ""]) => (name.includes("@") ? [] : [name]));
  return new Map(wanted.map((name) => [name, datasets.filter((dataset) => dataset.startsWith(`${name}/`))]));
}

/** Of `listChanges`: seconds since 1970; 0 for a dataset that never had a snapshot. */
export function parseChanges(output: string): Map<string, number> {
  return new Map(rows(output).map(([name = "", seconds]) => [name, Number(seconds) || 0]));
}

/** Parses `listGuids`: a value that differs whenever the dataset's snapshots differ. */
export function parseGuids(output: string, wanted: readonly string[]): Map<string, string> {
  const found = new Map(wanted.map((name) => [name, ""]));
  for (const [name = "", guid] of rows(output)) {
    const dataset = name.slice(0, name.indexOf("@"));
    found.set(dataset, `${found.get(dataset) ?? ""} ${guid}`);
  }
  return found;
}

/** Parses `listSpace`. */
export function parseSpace(output: string): Space[] {
  return rows(output).map(([place = "", available, used]) => {
    const free = Number(available) || 0;
    return { place, free, total: free + (Number(used) || 0) };
  });
}

/** Of `encryptionOf`: the dataset that zfs-load-key(8) takes, where the key is not loaded. */
export function rootWithoutKey(output: string): string | undefined {
  const [status, root] = rows(output)[0] ?? [];
  return status === "unavailable" ? root : undefined;
}

export interface Dependents {
  readonly mounted: boolean;
  readonly snapshots: number;
  /** Datasets below it. */
  readonly children: readonly string[];
  /** Clones of its snapshots, including those that others made. */
  readonly clones: readonly string[];
  /** Snapshots with a hold, zfs-hold(8). */
  readonly held: readonly string[];
}

/** Parses `listDependents`. */
export function parseDependents(output: string, dataset: string): Dependents {
  const lines = rows(output);
  const snapshots = lines.filter(([name = ""]) => name.includes("@"));
  return {
    mounted: lines.some(([name, mounted]) => name === dataset && mounted === "yes"),
    snapshots: snapshots.length,
    children: lines.map(([name = ""]) => name).filter((name) => name.startsWith(`${dataset}/`)),
    clones: snapshots.flatMap(([, , clones = ""]) => clones.split(",")).filter((name) => name !== "" && name !== "-"),
    held: snapshots.filter(([, , , holds]) => Number(holds) > 0).map(([name = ""]) => name),
  };
}

/** Parses `getAllMarks`, `getMarks` and `getTemplateProperties`: dataset -> property -> value, only if set there. */
export function parseProperties(output: string): Map<string, Map<string, string>> {
  const found = new Map<string, Map<string, string>>();
  for (const [name = "", property = "", value = "", source = ""] of rows(output)) {
    if (!["local", "received"].includes(source) && property !== "used") continue;
    // A mark from `zfs receive` is on a copy, which somebody else made.
    if (property.startsWith("isolate:") && source !== "local") continue;
    const properties = found.get(name) ?? new Map<string, string>();
    found.set(name, properties.set(property, value));
  }
  return found;
}

export interface OwnClone extends CloneInfo {
  readonly dataset: string;
  /** zfsprops(7) `used`, if requested. */
  readonly bytes: number | null;
}

/** Returns the clones of a store, identified by their own marks. */
export function clonesOf(store: string, marks: ReadonlyMap<string, ReadonlyMap<string, string>>): OwnClone[] {
  return [...marks].flatMap(([dataset, properties]) => {
    const id = properties.get(mark.clone) ?? "";
    if (properties.get(mark.store) !== store || !isCloneId(id)) return [];
    return {
      dataset,
      id,
      template: (properties.get(mark.template) ?? "") as TemplateName,
      snapshot: (properties.get(mark.snapshot) ?? "") as SnapshotName,
      bytes: properties.has("used") ? Number(properties.get("used")) : null,
    };
  });
}

/** Returns the finished templates that a store made. */
export function templatesOf(
  store: string,
  marks: ReadonlyMap<string, ReadonlyMap<string, string>>,
): readonly TemplateName[] {
  return [...marks]
    .filter(([, properties]) => properties.get(mark.madeBy) === store && !properties.has(mark.unfinished))
    .map(([dataset]) => dataset as TemplateName);
}

/** `2.3.9-1` -> [2, 3]; `undefined` for anything else. */
export function parseVersion(text: string): readonly [number, number] | undefined {
  const match = /^(\d+)\.(\d+)/.exec(text.trim());
  return match ? [Number(match[1]), Number(match[2])] : undefined;
}
