/** Clones of the overlay store: one upper directory each, mounted only for a view. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { IsolateError } from "../../../protocol/errors.ts";
import { type CloneId, type SnapshotName, splitSnapshotName } from "../../../protocol/names.ts";
import { closeDescriptor, closeInBackground } from "../../linux/call.ts";
import { renameNew } from "../../linux/files.ts";
import { attachMount } from "../../linux/mounts.ts";
import { type CloneInfo, type IdMap, isSameMap, type StorageDriver } from "../driver.ts";
import { storing } from "../failure.ts";
import { createMountEnds } from "../mount-ends.ts";
import { findClone, findTemplate, listClonesSlowly } from "./find.ts";
import { cloneLayer, makeUpper, readLayers, stackUpTo, writeMark } from "./layout.ts";
import { awaitRelease, isInUse, mountStack, mountStackDetached, type Stack, unmountView, wasMounted } from "./mount.ts";
import type { OpenOverlay } from "./store.ts";

type Clones = Pick<StorageDriver, "clone" | "prepare" | "view" | "unview" | "destroy" | "list">;

export function createClones(store: () => OpenOverlay): Clones {
  /** Mounts that are not attached yet. */
  const prepared = new Map<CloneId, { readonly mount: number; readonly to: IdMap }>();
  /** Destructions that are under way: such a clone is not mounted again, and only one attempt runs at a time. */
  const destroying = new Map<CloneId, Promise<void>>();
  /** The ends of this process's mounts. For others, only a trial mount tells whether they are in use. */
  const ends = createMountEnds();
  const nextTurn = createTurns();

  /** Returns `undefined` if there is no such clone. Throws if the directory exists but is not ours. */
  function find(id: CloneId, doing: string): CloneInfo | undefined {
    const home = join(store().clones, id);
    const info = findClone(store(), id);
    if (info || !existsSync(home)) return info;
    throw new IsolateError("storage-failed", { doing, cause: "it does not have this daemon's mark" });
  }

  function make(from: SnapshotName, id: CloneId): CloneInfo {
    const { clones, trash, id: storeId } = store();
    const { template, snapshot } = splitSnapshotName(from);
    const { layers } = findTemplate(store(), template);
    const all = readLayers(layers);
    if (!all.some(({ stamp }) => stamp === snapshot)) throw new IsolateError("no-snapshot", { template });
    const made = trash.fresh(id);
    try {
      makeUpper(cloneLayer(made), join(layers, stackUpTo(all, snapshot)[0] ?? ""));
      writeMark(made, storeId, from);
      renameNew(made, join(clones, id));
    } catch (error) {
      void trash.discard(made);
      throw error;
    }
    return { id, template, snapshot: from };
  }

  function stackOf(id: CloneId, doing: string): Stack {
    const info = destroying.has(id) ? undefined : find(id, doing);
    if (!info) throw new IsolateError("clone-gone", { clone: id });
    const working = cloneLayer(join(store().clones, id));
    const { layers } = findTemplate(store(), info.template);
    const lower = stackUpTo(readLayers(layers), splitSnapshotName(info.snapshot).snapshot);
    return { layers, lower, working };
  }

  async function show(id: CloneId, to: IdMap, at: string, doing: string): Promise<void> {
    const ready = prepared.get(id);
    if (!ready || !isSameMap(ready.to, to)) {
      await letGo(id);
      const stack = stackOf(id, doing);
      if (ready) await awaitRelease(stack.working, store().empty);
      // A second superblock on the same upper directory corrupts it, and hides that the first one uses it.
      if (isInUse(stack.working, store().empty)) throw inUse(id);
      mountStack(stack, to, at, store().slotsNeeded);
      ends.watch(id, at);
      return;
    }
    attachMount(ready.mount, at);
    closeDescriptor(ready.mount);
    prepared.delete(id);
  }

  /** Resolves when the kernel has dropped the prepared mount: a clone must never have two superblocks. */
  async function letGo(id: CloneId): Promise<void> {
    const ready = prepared.get(id);
    prepared.delete(id);
    if (ready) await closeInBackground(ready.mount);
  }

  const inUse = (id: CloneId): IsolateError =>
    new IsolateError("clone-busy", { clone: id, cause: "a process still uses it" });

  function destroy(id: CloneId): Promise<void> {
    const doing = `destroy the clone '${id}'`;
    return storing(doing, async () => {
      await letGo(id);
      if (!find(id, doing)) return;
      const home = join(store().clones, id);
      if (!(ends.hasEnded(id) ?? !isInUse(cloneLayer(home), store().empty))) throw inUse(id);
      store().trash.bury(home);
      ends.forget(id);
    });
  }

  return {
    async clone(from, id) {
      await nextTurn();
      return storing(`make the clone '${id}'`, () => make(from, id));
    },
    prepare(id, to) {
      if (prepared.has(id)) return;
      const stack = stackOf(id, `prepare the clone '${id}'`);
      if (wasMounted(stack.working)) return;
      const mount = mountStackDetached(stack, to, store().slotsNeeded, store().copies);
      if (mount === undefined) return;
      prepared.set(id, { mount, to });
      ends.watch(id, `/proc/self/fd/${mount}`);
    },
    view: (id, to, at) => {
      const doing = `mount the clone '${id}'`;
      return storing(doing, () => show(id, to, at, doing));
    },
    unview: (id, at) => storing(`unmount the clone '${id}'`, () => unmountView(at)),
    destroy(id) {
      const underWay = destroying.get(id);
      if (underWay) return underWay;
      const begun = destroy(id).finally(() => destroying.delete(id));
      destroying.set(id, begun);
      return begun;
    },
    list: () => storing("list the clones", () => listClonesSlowly(store())),
  };
}

/** Making a clone takes this thread a millisecond. Turns let requests for leases run between two of them. */
function createTurns(): () => Promise<void> {
  let last = Promise.resolve();
  return () => {
    last = last.then(() => new Promise((resolve) => setImmediate(resolve)));
    return last;
  };
}
