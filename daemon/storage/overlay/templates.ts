/** Templates of the overlay store: stacks of directories. The topmost one is still writable. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { IsolateError } from "../../../protocol/errors.ts";
import { type SnapshotName, snapshotName, splitSnapshotName, type TemplateName } from "../../../protocol/names.ts";
import { renameNew } from "../../linux/files.ts";
import type { StorageDriver, TemplateInfo } from "../driver.ts";
import { errnoOf, storing } from "../failure.ts";
import { unpack } from "../unpack.ts";
import { findTemplate, listClones, listTemplates } from "./find.ts";
import {
  isOwnName,
  type Layer,
  latestLayer,
  makeUpper,
  nextStamp,
  readLayers,
  stackUpTo,
  stampTime,
  type TemplatePaths,
  templateLayer,
  templatePaths,
  upperChanged,
  writeMark,
} from "./layout.ts";
import { awaitRelease, isInUse, mostLayers, mountStack, unmountStack } from "./mount.ts";
import type { OpenOverlay } from "./store.ts";

type Templates = Pick<
  StorageDriver,
  "templates" | "createTemplate" | "removeTemplate" | "latest" | "snapshot" | "edit" | "unedit" | "watch"
>;

export function createTemplates(store: () => OpenOverlay, now: () => number): Templates {
  const watchers = new Set<(template: TemplateName) => void>();

  async function create(template: TemplateName, tar: Readable): Promise<SnapshotName> {
    const doing = `create the template '${template}'`;
    return storing(doing, async () => {
      const { templates, trash, id } = store();
      if (!isOwnName(template)) {
        throw new IsolateError("bad-name", {
          name: template,
          wrong: "the name of a template in the overlay store has no slash",
        });
      }
      const place = join(templates, template);
      if (existsSync(place)) throw new IsolateError("template-exists", { template });
      const made = trash.fresh(template);
      try {
        const paths = templatePaths(made);
        const stamp = nextStamp([], now());
        const layer = join(paths.layers, stamp);
        mkdirSync(layer, { recursive: true });
        await unpack(tar, layer, doing);
        writeMark(made, id, template);
        mkdirSync(paths.working.home);
        makeUpper(paths.working, layer);
        renameNew(made, place);
        return snapshotName(template, stamp);
      } catch (error) {
        await trash.discard(made);
        if (errnoOf(error) === "EEXIST") throw new IsolateError("template-exists", { template }, error);
        throw error;
      }
    });
  }

  async function remove(template: TemplateName): Promise<void> {
    await storing(`remove the template '${template}'`, async () => {
      const { trash, copies } = store();
      await awaitClosed(store(), template);
      const { paths } = settled(store(), template);
      const clones = listClones(store()).filter(
        ({ snapshot }) => splitSnapshotName(snapshot).template === template,
      ).length;
      if (clones > 0) throw new IsolateError("template-busy", { template, clones });
      copies.forget(paths.layers);
      await trash.remove(trash.take(paths.home));
    });
  }

  async function freeze(template: TemplateName): Promise<SnapshotName> {
    const { trash } = store();
    await awaitClosed(store(), template);
    const { paths, layers } = settled(store(), template);
    const stack = stackUpTo(layers);
    const stamp = nextStamp(layers, now());
    const place = join(paths.layers, stamp);
    if (!upperChanged(paths.working.upper, join(paths.layers, stack[0] ?? ""))) {
      writeFileSync(place, "", { flag: "wx" });
    } else {
      if (stack.length >= mostLayers) {
        const cause = `it has ${mostLayers} snapshots, the most that overlayfs supports; make a new template from it`;
        throw new IsolateError("storage-failed", { doing: `snapshot the template '${template}'`, cause });
      }
      renameNew(paths.working.upper, place);
      void trash.discard(trash.take(paths.working.home));
      completeWorking(store(), paths, readLayers(paths.layers));
    }
    return snapshotName(template, stamp);
  }

  function infoOf(template: TemplateName): TemplateInfo {
    const layer = latestLayer(readLayers(findTemplate(store(), template).layers));
    if (!layer) return { template, snapshot: null, created: null, bytes: null, below: [] };
    return {
      template,
      snapshot: snapshotName(template, layer.stamp),
      created: stampTime(layer.stamp),
      bytes: null,
      below: [],
    };
  }

  return {
    createTemplate: create,
    removeTemplate: remove,
    templates: (names) =>
      storing("list the templates", () => {
        const all = listTemplates(store());
        return (names === undefined ? all : all.filter((name) => names.includes(name))).map(infoOf);
      }),
    latest: (template, pattern) =>
      storing(`find the latest snapshot of '${template}'`, () => {
        const layer = latestLayer(readLayers(findTemplate(store(), template).layers), pattern);
        if (!layer) throw new IsolateError("no-snapshot", { template });
        return snapshotName(template, layer.stamp);
      }),
    async snapshot(template) {
      const made = await storing(`snapshot the template '${template}'`, () => freeze(template));
      for (const changed of watchers) changed(template);
      return made;
    },
    edit: (template, to, at) =>
      storing(`open the template '${template}'`, async () => {
        await awaitClosed(store(), template);
        const { paths, layers } = settled(store(), template);
        mountStack(
          { layers: paths.layers, lower: stackUpTo(layers), working: paths.working },
          to,
          at,
          store().slotsNeeded,
        );
      }),
    unedit: (template, at) => storing(`close the template '${template}'`, () => void unmountStack(at)),
    // Only this driver makes snapshots here, so there is nothing to poll.
    watch(templates, changed) {
      const watcher = (template: TemplateName): void => {
        if (templates().includes(template)) changed(template);
      };
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

async function awaitClosed(store: OpenOverlay, template: TemplateName): Promise<void> {
  const { working } = findTemplate(store, template);
  if (existsSync(working.upper)) await awaitRelease(working, store.empty);
}

/** Throws `template-edited` if someone edits the template: no layer may change below a mount, or have two writers. */
function settled(store: OpenOverlay, template: TemplateName): { paths: TemplatePaths; layers: Layer[] } {
  const paths = findTemplate(store, template);
  const layers = readLayers(paths.layers);
  completeWorking(store, paths, layers);
  if (isInUse(paths.working, store.empty)) throw new IsolateError("template-edited", { template });
  return { paths, layers };
}

/** Makes the working layer again if a crash, or the snapshot just made, left none. */
function completeWorking({ trash }: OpenOverlay, paths: TemplatePaths, layers: readonly Layer[]): void {
  if (existsSync(paths.working.upper)) return;
  if (existsSync(paths.working.home)) void trash.discard(trash.take(paths.working.home));
  const made = trash.fresh("working");
  makeUpper(templateLayer(made), join(paths.layers, stackUpTo(layers)[0] ?? ""));
  renameNew(made, paths.working.home);
}
