/** Templates: datasets that somebody maintains; isolate made some of them. */
import { rmdirSync } from "node:fs";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { IsolateError } from "../../../protocol/errors.ts";
import { type SnapshotName, snapshotName, type TemplateName } from "../../../protocol/names.ts";
import type { IdMap, StorageDriver, TemplateInfo, Unseen } from "../driver.ts";
import { unpack as unpackTar } from "../unpack.ts";
import {
  createTemplate,
  destroy,
  destroySnapshots,
  encryptionOf,
  getAllMarks,
  getMarks,
  listDependents,
  listSnapshots,
  mark,
  markFinished,
  takeSnapshot,
  typeOf,
} from "./args.ts";
import { ofEachPool, ofThoseThere, type Zfs } from "./command.ts";
import { mountFailure } from "./key.ts";
import { chooseLatest } from "./latest.ts";
import { attach, detach, detachedMount, privateDirectory } from "./mount.ts";
import {
  type Dependents,
  parseChildren,
  parseDependents,
  parseProperties,
  parseSnapshots,
  poolOf,
  rootWithoutKey,
  type Snapshot,
  templatesOf,
} from "./parse.ts";
import { refusal, storageError } from "./refusal.ts";
import { createStamps } from "./stamp.ts";

interface Options {
  readonly zfs: Zfs;
  readonly pools: () => Promise<readonly string[]>;
  readonly store: string;
  readonly mountDirectory: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

type Templates = Pick<
  StorageDriver,
  "templates" | "whyUnfit" | "createTemplate" | "removeTemplate" | "latest" | "snapshot" | "edit" | "unedit"
>;

/** A pool's root dataset cannot be a template: its clones would need a parent. */
export function isDataset(name: string): boolean {
  return name.includes("/");
}

const nothingKnown = { snapshot: null, created: null, bytes: null, below: [] } as const;

const unknown = (template: TemplateName, cause?: unknown) =>
  new IsolateError("unknown-template", { template, near: [] }, cause);

export function createTemplates({ zfs, pools, store, mountDirectory, now }: Options): Templates {
  const stamps = createStamps(now);
  const making = new Set<TemplateName>();

  const noSnapshots = (error: unknown): IsolateError => storageError("list the snapshots", error);

  async function ask(names: readonly TemplateName[]) {
    const datasets = names.filter(isDataset);
    const answers = await ofThoseThere(zfs, listSnapshots, datasets);
    if (answers.silent.size === answers.asked) for (const error of answers.silent.values()) throw noSnapshots(error);
    const { output, silent } = answers;
    return { found: parseSnapshots(output, datasets), below: parseChildren(output, datasets), silent, datasets };
  }

  /** Undefined where there is no such file system. */
  async function snapshotsOf(template: TemplateName): Promise<readonly Snapshot[] | undefined> {
    return (await ask([template])).found.get(template);
  }

  async function templates(names?: readonly TemplateName[], unseen?: Unseen): Promise<readonly TemplateInfo[]> {
    const { found, below, silent, datasets } = await ask(names ?? (await ours(unseen)));
    return datasets.flatMap((template) => {
      const failure = silent.get(poolOf(template));
      if (failure !== undefined) return { ...nothingKnown, template, failure: noSnapshots(failure) };
      const snapshots = found.get(template);
      if (!snapshots) return [];
      const snapshot = chooseLatest(snapshots);
      return {
        template,
        snapshot: snapshot?.name ?? null,
        created: snapshot ? snapshot.creation * 1000 : null,
        bytes: snapshot?.referenced ?? null,
        below: below.get(template) ?? [],
      };
    });
  }

  async function ours(unseen: Unseen = () => undefined): Promise<readonly TemplateName[]> {
    const failure = (error: unknown): IsolateError => storageError("list the templates", error);
    try {
      const { output, silent } = await ofEachPool(await pools(), (pool) => zfs(getAllMarks(pool)));
      for (const [pool, error] of silent) unseen(pool, failure(error));
      return templatesOf(store, parseProperties(output));
    } catch (error) {
      throw failure(error);
    }
  }

  async function whyUnfit(name: string): Promise<string | undefined> {
    const type = await zfs(typeOf(name)).then(
      (output) => output.trim(),
      () => undefined,
    );
    if (type === undefined) return undefined;
    if (type !== "filesystem") return `it is a ${type}, and a root file system cannot be in it`;
    return isDataset(name)
      ? undefined
      : "it is the root of a storage pool, and clones need a place beside the template";
  }

  async function latest(template: TemplateName, pattern?: string): Promise<SnapshotName> {
    const snapshots = await snapshotsOf(template);
    if (!snapshots) throw unknown(template);
    const snapshot = chooseLatest(snapshots, pattern);
    if (!snapshot) throw new IsolateError("no-snapshot", { template });
    return snapshot.name;
  }

  async function snapshot(template: TemplateName): Promise<SnapshotName> {
    if (!isDataset(template)) throw unknown(template);
    const name = snapshotName(template, stamps.next());
    try {
      await zfs(takeSnapshot(name));
    } catch (error) {
      if (refusal(error) === "missing") throw unknown(template, error);
      throw storageError(`make a snapshot of '${template}'`, error);
    }
    return name;
  }

  async function create(template: TemplateName, tar: Readable): Promise<SnapshotName> {
    if (making.has(template)) throw new IsolateError("template-exists", { template });
    making.add(template);
    try {
      await createDataset(template);
      try {
        await unpack(template, tar);
        const first = await snapshot(template);
        await zfs(markFinished(template));
        return first;
      } catch (error) {
        await undo(template);
        throw storageError(`create the template '${template}'`, error);
      }
    } finally {
      making.delete(template);
    }
  }

  async function createDataset(template: TemplateName): Promise<void> {
    const doing = `create the template '${template}'`;
    if (!isDataset(template)) {
      const cause = "a ZFS template is a dataset below a storage pool, such as 'rpool/isolate/debian'";
      throw new IsolateError("storage-failed", { doing, cause });
    }
    try {
      await zfs(createTemplate(template, store)).catch(async (error: unknown) => {
        if (refusal(error) !== "exists" || !(await isLeftOver(template))) throw error;
        await zfs(destroy(template));
        await zfs(createTemplate(template, store));
      });
    } catch (error) {
      const why = refusal(error);
      if (why === "exists") throw new IsolateError("template-exists", { template }, error);
      if (why === "no-key") throw await withoutKey(doing, template, error);
      if (why === "no-parent" || why === "missing") {
        const parent = template.slice(0, template.lastIndexOf("/"));
        const cause = `the dataset '${parent}' does not exist; make it with 'zfs create -p ${parent}'`;
        throw new IsolateError("storage-failed", { doing, cause }, error);
      }
      throw storageError(doing, error);
    }
  }

  async function withoutKey(doing: string, template: TemplateName, error: unknown): Promise<IsolateError> {
    const parent = template.slice(0, template.lastIndexOf("/"));
    const root = await zfs(encryptionOf(parent)).then(rootWithoutKey, () => undefined);
    return root === undefined ? storageError(doing, error) : new IsolateError("key-not-loaded", { doing, root }, error);
  }

  /** Made by a daemon that died before the first snapshot was there. */
  async function isLeftOver(template: TemplateName): Promise<boolean> {
    const marks = parseProperties(await zfs(getMarks(template))).get(template);
    if (marks?.get(mark.madeBy) !== store || !marks.has(mark.unfinished)) return false;
    return (await snapshotsOf(template))?.length === 0;
  }

  async function unpack(template: TemplateName, tar: Readable): Promise<void> {
    const directory = privateDirectory(mountDirectory);
    try {
      attach(detachedMount(template, mountDirectory), directory);
      await unpackTar(tar, directory, `create the template '${template}'`);
    } finally {
      detach(directory);
      rmdirSync(directory);
    }
  }

  /** Called only for a dataset that `create` has just made. If it cannot be removed, it stays marked as unfinished. */
  async function undo(template: TemplateName): Promise<void> {
    await zfs(destroySnapshots(template)).catch(() => undefined);
    // Another mount namespace may have a copy of the mount for a moment.
    for (const wait of [0, 100, 500, 2000]) {
      await sleep(wait);
      const why = await zfs(destroy(template)).then(() => "missing", refusal);
      if (why !== "busy") return;
    }
  }

  async function remove(template: TemplateName): Promise<void> {
    const doing = `remove the template '${template}'`;
    try {
      const marks = parseProperties(await zfs(getMarks(template))).get(template);
      // Even without a mark it exists: zfs-get(8) fails for a dataset that does not.
      if (marks?.get(mark.madeBy) !== store) throw new IsolateError("template-foreign", { template });
      const dependents = parseDependents(await zfs(listDependents(template)), template);
      if (dependents.clones.length > 0) {
        throw new IsolateError("template-busy", { template, clones: dependents.clones.length });
      }
      const cause = whatStandsInTheWay(dependents);
      if (cause) throw new IsolateError("storage-failed", { doing, cause });
      if (dependents.snapshots > 0) await zfs(destroySnapshots(template));
      await zfs(destroy(template));
    } catch (error) {
      if (refusal(error) === "missing") throw unknown(template, error);
      throw storageError(doing, error);
    }
  }

  async function edit(template: TemplateName, to: IdMap, at: string): Promise<void> {
    if (!(await snapshotsOf(template))) throw unknown(template);
    try {
      attach(detachedMount(template, mountDirectory), at, to);
    } catch (error) {
      throw await mountFailure(zfs, `mount the template '${template}'`, template, error);
    }
  }

  async function unedit(template: TemplateName, at: string): Promise<void> {
    try {
      detach(at);
    } catch (error) {
      throw storageError(`unmount the template '${template}'`, error);
    }
  }

  return { templates, whyUnfit, createTemplate: create, removeTemplate: remove, latest, snapshot, edit, unedit };
}

function whatStandsInTheWay(dependents: Dependents): string | undefined {
  const [held] = dependents.held;
  if (held !== undefined) return `somebody holds its snapshot ${held}; see 'zfs holds ${held}'`;
  if (dependents.children.length > 0) return `there are datasets below it: ${dependents.children.join(", ")}`;
  // Otherwise its snapshots would be gone before zfs notices that the mount is in use.
  if (dependents.mounted) return "it is mounted; unmount it first with 'zfs unmount' or umount(8)";
  return undefined;
}
