/** Clones of snapshots, as siblings of their template, and their views. */

import { IsolateError } from "../../../protocol/errors.ts";
import { type CloneId, type SnapshotName, splitSnapshotName, type TemplateName } from "../../../protocol/names.ts";
import { closeInBackground } from "../../linux/call.ts";
import { type CloneInfo, type IdMap, isSameMap, type StorageDriver, type Unseen } from "../driver.ts";
import {
  type CloneRequest,
  cloneSnapshot,
  destroy,
  destroySnapshots,
  getAllMarks,
  getMarks,
  getTemplateProperties,
  listDependents,
} from "./args.ts";
import { whatBlocks } from "./blocked.ts";
import { ofEachPool, someAnswered, type Zfs } from "./command.ts";
import type { Direct } from "./direct.ts";
import { mountFailure } from "./key.ts";
import { attach, detachedMountInBackground, detachInBackground, isMountedHere, mapIds } from "./mount.ts";
import { clonesOf, type OwnClone, parseDependents, parseProperties, poolOf } from "./parse.ts";
import { refusal, storageError } from "./refusal.ts";
import { refuseSuspended } from "./suspended.ts";
import type { Turn } from "./turns.ts";

interface Options {
  readonly zfs: Zfs;
  readonly pools: () => Promise<readonly string[]>;
  readonly turn: Turn;
  /** Does in a call what zfs(8) does in a process. What it cannot do zfs(8) is asked for, whose words make the errors. */
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

/** What a look through the storage pools found, and those that did not answer. */
interface Look {
  readonly clones: readonly OwnClone[];
  readonly silent: ReadonlyMap<string, unknown>;
}

export function createClones({ zfs, pools, turn, direct, store, mountDirectory, refquota }: Options): Clones {
  // Where the storage itself says that a clone is: a dataset's name is never made from an id that came from outside.
  const known = new Map<CloneId, Held>();
  const properties = createPropertyCache(zfs);
  let looking: Promise<Look> | undefined;
  let nextLook: Promise<Look> | undefined;

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
      known.set(id, { dataset, mount: await mounted(dataset) });
    } catch (error) {
      const failure = await mountFailure(zfs, doing, dataset, error);
      // A clone that cannot be mounted is of no use; what goes wrong now is found by list().
      await zfs(destroy(dataset)).catch(() => undefined);
      throw failure;
    }
    return { id, template, snapshot: from };
  }

  function mounted(dataset: string): Promise<number> {
    return turn(poolOf(dataset), () => detachedMountInBackground(dataset, mountDirectory));
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

  async function list(unseen: Unseen = () => undefined): Promise<readonly OwnClone[]> {
    const { clones, silent } = await look();
    for (const [pool, error] of silent) unseen(pool, storageError("list the clones", error));
    return clones;
  }

  /** Through all storage pools: once for all who ask while another look goes on, and after that one. */
  function look(): Promise<Look> {
    if (!looking) return beginLook();
    nextLook ??= looking
      .catch(() => undefined)
      .then(() => {
        nextLook = undefined;
        return beginLook();
      });
    return nextLook;
  }

  function beginLook(): Promise<Look> {
    looking = lookNow().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  async function lookNow(): Promise<Look> {
    try {
      const answers = await ofEachPool(await pools(), (pool) => zfs(getAllMarks(pool)));
      const { output, silent } = someAnswered(answers);
      const clones = clonesOf(store, parseProperties(output));
      for (const { id, dataset } of clones) {
        if (known.get(id)?.dataset !== dataset) remember(id, dataset);
      }
      return { clones, silent };
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
    const looked = known.has(id) ? undefined : await (looking ?? look());
    const held = known.get(id);
    if (!held) {
      for (const error of looked?.silent.values() ?? []) throw storageError(doing, error);
      throw new IsolateError("clone-gone", { clone: id });
    }
    const mapped = held.to !== undefined && isSameMap(held.to, to);
    const usable = held.to === undefined || mapped ? held.mount : undefined;
    const mount = usable ?? (await mountAnew(id, held.dataset, doing));
    if (usable === undefined) void letGo(id);
    delete held.mount;
    delete held.to;
    try {
      attach(mount, at, mapped ? undefined : to);
    } catch (error) {
      throw storageError(doing, error);
    }
  }

  /** Whatever the kernel says of a mount that fails, the storage knows whether the clone was destroyed or renamed. */
  async function mountAnew(id: CloneId, dataset: string, doing: string): Promise<number> {
    refuseSuspended(dataset, doing);
    let place = dataset;
    try {
      return await mounted(place);
    } catch (error) {
      const { clones, silent } = await look();
      const found = clones.find((clone) => clone.id === id)?.dataset;
      if (found === undefined && !silent.has(poolOf(dataset))) {
        known.delete(id);
        throw new IsolateError("clone-gone", { clone: id }, error);
      }
      if (found === undefined || found === dataset) throw await mountFailure(zfs, doing, dataset, error);
      place = found;
    }
    try {
      return await mounted(place);
    } catch (error) {
      throw await mountFailure(zfs, doing, place, error);
    }
  }

  async function unview(id: CloneId, at: string): Promise<void> {
    const doing = `unmount the clone '${id}'`;
    const dataset = known.get(id)?.dataset;
    if (dataset !== undefined) refuseSuspended(dataset, doing);
    try {
      await turn(poolOf(dataset ?? ""), () => detachInBackground(at));
    } catch (error) {
      throw storageError(doing, error);
    }
  }

  const inUse = (id: CloneId, cause?: unknown): IsolateError =>
    new IsolateError("clone-busy", { clone: id, cause: "a process or a mount still uses it" }, cause);

  async function destroyClone(id: CloneId): Promise<void> {
    const seen = known.get(id)?.dataset;
    if (seen !== undefined) refuseSuspended(seen, `destroy the clone '${id}'`);
    await letGo(id);
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
      await zfs(destroy(dataset)).catch(async (error: unknown) => {
        if (refusal(error) !== "dependents") throw error;
        await destroySnapshotsOf(id, dataset);
        await zfs(destroy(dataset));
      });
    } catch (error) {
      const why = refusal(error);
      if (why === "busy") throw inUse(id, error);
      if (why !== "missing") throw storageError(`destroy the clone '${id}'`, error);
    }
  }

  /** A used clone is thrown away, and with it what a recursive snapshot left on it. Throws `clone-blocked`. */
  async function destroySnapshotsOf(id: CloneId, dataset: string): Promise<void> {
    const blocker = whatBlocks(parseDependents(await zfs(listDependents(dataset)), dataset));
    if (blocker !== undefined) throw new IsolateError("clone-blocked", { clone: id, ...blocker });
    await zfs(destroySnapshots(dataset));
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
    const { clones, silent } = await look();
    const found = clones.find((clone) => clone.id === id)?.dataset;
    const failure = dataset === undefined ? [...silent.values()][0] : silent.get(poolOf(dataset));
    if (found === undefined && failure !== undefined) throw storageError(`destroy the clone '${id}'`, failure);
    return found;
  }

  async function isMarked(dataset: string, id: CloneId): Promise<boolean> {
    const marks = parseProperties(await zfs(getMarks(dataset)));
    return clonesOf(store, marks).some((clone) => clone.id === id && clone.dataset === dataset);
  }

  /** Resolves when the kernel has released the mount: until then the dataset is busy. */
  async function letGo(id: CloneId): Promise<void> {
    const held = known.get(id);
    if (held?.mount === undefined) return;
    const { mount, dataset } = held;
    delete held.mount;
    delete held.to;
    await turn(poolOf(dataset), () => closeInBackground(mount));
  }

  return { clone, prepare, view, unview, destroy: destroyClone, list };
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
