/** Clones of snapshots, as siblings of their template, and their views. */

import { IsolateError } from "../../../protocol/errors.ts";
import { type CloneId, type SnapshotName, splitSnapshotName, type TemplateName } from "../../../protocol/names.ts";
import { closeInBackground } from "../../linux/call.ts";
import { CommandError } from "../../linux/child-process.ts";
import { type CloneInfo, type IdMap, isSameMap, type StorageDriver } from "../driver.ts";
import { type CloneRequest, cloneSnapshot, destroy, getAllMarks, getMarks, getTemplateProperties } from "./args.ts";
import type { Zfs } from "./command.ts";
import type { Direct } from "./direct.ts";
import {
  attach,
  detachedMount,
  detachedMountInBackground,
  detachInBackground,
  isMountedHere,
  mapIds,
} from "./mount.ts";
import { clonesOf, type OwnClone, parseProperties } from "./parse.ts";
import { causeOf, inTheWay, refusal, storageError } from "./refusal.ts";

interface Options {
  readonly zfs: Zfs;
  /** Replaces a process of zfs(8) with a call. If it fails, zfs(8) is run, whose messages make the errors. */
  readonly direct: () => Direct | undefined;
  readonly store: string;
  readonly mountDirectory: string;
  readonly refquota: string;
}

interface Held {
  readonly dataset: string;
  /** The detached mount of a clone that is not leased yet. */
  mount?: number;
  /** The map that its ids already have, which cannot be changed. */
  to?: IdMap;
}

type Clones = Pick<StorageDriver, "clone" | "prepare" | "view" | "unview" | "destroy" | "list">;

export function createClones({ zfs, direct, store, mountDirectory, refquota }: Options): Clones {
  // The clones' datasets as the storage reports them: a dataset's name is never made from an id from outside.
  const known = new Map<CloneId, Held>();
  const properties = createPropertyCache(zfs);
  let looking: Promise<readonly OwnClone[]> | undefined;
  let nextLook: Promise<readonly OwnClone[]> | undefined;

  async function clone(from: SnapshotName, id: CloneId): Promise<CloneInfo> {
    const { template } = splitSnapshotName(from);
    const dataset = `${template.slice(0, template.lastIndexOf("/"))}/${id}`;
    const doing = `make the clone '${id}' of '${from}'`;
    try {
      const own = await properties.of(from);
      await make({ from, id, dataset, store, template, refquota, properties: own });
    } catch (error) {
      if (refusal(error) === "missing") throw await whatIsMissing(template, error);
      throw storageError(doing, error);
    }
    try {
      known.set(id, { dataset, mount: await detachedMountInBackground(dataset, mountDirectory) });
    } catch (error) {
      // A clone that cannot be mounted is useless. If this fails too, list() will find it.
      await zfs(destroy(dataset)).catch(() => undefined);
      throw storageError(doing, error);
    }
    return { id, template, snapshot: from };
  }

  async function make(request: CloneRequest): Promise<void> {
    if (!(await direct()?.clone(request))) await zfs(cloneSnapshot(request));
  }

  /** Finds out whether the template or the snapshot is gone: zfs(8) reports both with the same message. */
  async function whatIsMissing(template: TemplateName, cause: unknown): Promise<IsolateError> {
    try {
      await zfs(getMarks(template));
      return new IsolateError("no-snapshot", { template }, cause);
    } catch {
      return new IsolateError("unknown-template", { template, near: [] }, cause);
    }
  }

  /** Lists the clones in all pools of the host. Calls during a run share one more run after it. */
  function list(): Promise<readonly OwnClone[]> {
    if (!looking) return beginLook();
    nextLook ??= looking
      .catch(() => undefined)
      .then(() => {
        nextLook = undefined;
        return beginLook();
      });
    return nextLook;
  }

  function beginLook(): Promise<readonly OwnClone[]> {
    looking = look().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  async function look(): Promise<readonly OwnClone[]> {
    try {
      const clones = clonesOf(store, parseProperties(await zfs(getAllMarks())));
      for (const { id, dataset } of clones) {
        if (known.get(id)?.dataset !== dataset) remember(id, dataset);
      }
      return clones;
    } catch (error) {
      throw storageError("list the clones", error);
    }
  }

  /** A renamed dataset is still the same clone, and keeps its mount. */
  function remember(id: CloneId, dataset: string): void {
    known.set(id, { ...known.get(id), dataset });
  }

  function prepare(id: CloneId, to: IdMap): void {
    const held = known.get(id);
    if (held?.mount === undefined || held.to) return;
    mapIds(held.mount, to);
    held.to = to;
  }

  async function view(id: CloneId, to: IdMap, at: string): Promise<void> {
    const doing = `mount the clone '${id}'`;
    if (!known.has(id)) await (looking ?? list());
    const held = known.get(id);
    if (!held) throw new IsolateError("clone-gone", { clone: id });
    try {
      const mapped = held.to !== undefined && isSameMap(held.to, to);
      const usable = held.to === undefined || mapped ? held.mount : undefined;
      const mount = usable ?? detachedMount(held.dataset, mountDirectory);
      if (usable === undefined) void letGo(id);
      delete held.mount;
      delete held.to;
      attach(mount, at, mapped ? undefined : to);
    } catch (error) {
      throw storageError(doing, error);
    }
  }

  async function unview(id: CloneId, at: string): Promise<void> {
    try {
      await detachInBackground(at);
    } catch (error) {
      throw storageError(`unmount the clone '${id}'`, error);
    }
  }

  const inUse = (id: CloneId, cause?: unknown): IsolateError =>
    new IsolateError("clone-busy", { clone: id, cause: "a process or a mount still uses it" }, cause);

  async function destroyClone(id: CloneId): Promise<void> {
    await letGo(id);
    const seen = known.get(id)?.dataset;
    if (seen === undefined || !(await destroyedDirectly(id, seen))) await destroyByCommand(id);
    known.delete(id);
  }

  /** Returns `false` if zfs(8) is needed: it finds a renamed clone, unmounts, and names the obstacle. */
  async function destroyedDirectly(id: CloneId, dataset: string): Promise<boolean> {
    const outcome = await direct()?.destroy({ dataset, id, store });
    if (outcome === "busy" && !isMountedHere(dataset)) throw inUse(id);
    return outcome === "destroyed";
  }

  async function destroyByCommand(id: CloneId): Promise<void> {
    const dataset = await find(id);
    if (dataset === undefined) return;
    try {
      await zfs(destroy(dataset));
    } catch (error) {
      const why = refusal(error);
      if (why === "busy") throw inUse(id, error);
      if (why === "dependents") {
        throw new IsolateError("clone-busy", { clone: id, cause: foreignDependents(error) }, error);
      }
      if (why !== "missing") throw storageError(`destroy the clone '${id}'`, error);
    }
  }

  /** Returns the dataset that has this clone's own mark now. */
  async function find(id: CloneId): Promise<string | undefined> {
    const dataset = known.get(id)?.dataset;
    try {
      if (dataset !== undefined && (await isMarked(dataset, id))) return dataset;
    } catch (error) {
      if (refusal(error) !== "missing") throw storageError(`destroy the clone '${id}'`, error);
    }
    // Not seen before, renamed, or gone.
    return (await list()).find((clone) => clone.id === id)?.dataset;
  }

  async function isMarked(dataset: string, id: CloneId): Promise<boolean> {
    const marks = parseProperties(await zfs(getMarks(dataset)));
    return clonesOf(store, marks).some((clone) => clone.id === id && clone.dataset === dataset);
  }

  /** Resolves when the kernel has released the mount: until then the dataset is busy. */
  async function letGo(id: CloneId): Promise<void> {
    const held = known.get(id);
    if (held?.mount === undefined) return;
    const { mount } = held;
    delete held.mount;
    delete held.to;
    await closeInBackground(mount);
  }

  return { clone, prepare, view, unview, destroy: destroyClone, list };
}

function foreignDependents(error: unknown): string {
  const names = error instanceof CommandError ? inTheWay(error.stderr) : [];
  if (names.length === 0) return causeOf(error);
  return `somebody made ${names.join(", ")} from it; remove that with 'zfs destroy'`;
}

/** Caches a template's own properties for each snapshot, as a pool makes many clones of one. */
function createPropertyCache(zfs: Zfs) {
  const answers = new Map<TemplateName, { from: SnapshotName; properties: Promise<Record<string, string>> }>();
  return {
    of(from: SnapshotName): Promise<Readonly<Record<string, string>>> {
      const { template } = splitSnapshotName(from);
      const cached = answers.get(template);
      if (cached?.from === from) return cached.properties;
      const properties = zfs(getTemplateProperties(template)).then((output) =>
        Object.fromEntries(parseProperties(output).get(template) ?? []),
      );
      answers.set(template, { from, properties });
      properties.catch(() => answers.delete(template));
      return properties;
    },
  };
}
