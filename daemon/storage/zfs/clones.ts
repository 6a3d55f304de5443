/** Clones of snapshots as datasets beside their template, and the views of them. */

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
  /** Does in a call what zfs(8) does in a process. What it cannot do zfs(8) is asked for, whose words make the errors. */
  readonly direct: () => Direct | undefined;
  readonly store: string;
  readonly mountDirectory: string;
  readonly refquota: string;
}

interface Held {
  readonly dataset: string;
  /** The detached mount of a clone that nobody has leased yet. */
  mount?: number;
  /** Whose ids it has already; they cannot be changed. */
  to?: IdMap;
}

type Clones = Pick<StorageDriver, "clone" | "prepare" | "view" | "unview" | "destroy" | "list">;

export function createClones({ zfs, direct, store, mountDirectory, refquota }: Options): Clones {
  // Where the storage itself says that a clone is: a dataset's name is never made from an id that came from outside.
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
      // A clone that cannot be mounted is of no use; what goes wrong now is found by list().
      await zfs(destroy(dataset)).catch(() => undefined);
      throw storageError(doing, error);
    }
    return { id, template, snapshot: from };
  }

  async function make(request: CloneRequest): Promise<void> {
    if (!(await direct()?.clone(request))) await zfs(cloneSnapshot(request));
  }

  /** zfs(8) says the same of a template that is gone and of a snapshot. */
  async function whatIsMissing(template: TemplateName, cause: unknown): Promise<IsolateError> {
    try {
      await zfs(getMarks(template));
      return new IsolateError("no-snapshot", { template }, cause);
    } catch {
      return new IsolateError("unknown-template", { template, near: [] }, cause);
    }
  }

  /** Looks through all pools of the host: once for all who ask while another look goes on, and after that one. */
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

  /** A renamed dataset is the same clone, and its mount is as good. */
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

  /** False where zfs(8) has to be asked: it finds what was renamed, unmounts, and names what is in the way. */
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

  /** The dataset that carries this clone's own mark at this moment. */
  async function find(id: CloneId): Promise<string | undefined> {
    const dataset = known.get(id)?.dataset;
    try {
      if (dataset !== undefined && (await isMarked(dataset, id))) return dataset;
    } catch (error) {
      if (refusal(error) !== "missing") throw storageError(`destroy the clone '${id}'`, error);
    }
    // Never seen, renamed, or gone.
    return (await list()).find((clone) => clone.id === id)?.dataset;
  }

  async function isMarked(dataset: string, id: CloneId): Promise<boolean> {
    const marks = parseProperties(await zfs(getMarks(dataset)));
    return clonesOf(store, marks).some((clone) => clone.id === id && clone.dataset === dataset);
  }

  /** Resolves when the kernel has let go as well: until then the dataset is busy. */
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
  return `somebody made ${names.join(", ")} of it; remove that with 'zfs destroy'`;
}

/** What a template sets itself, asked for once for each snapshot: a pool makes many clones of one. */
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
