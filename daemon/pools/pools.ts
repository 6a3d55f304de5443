/** Root's management of templates and pools: which exist, how many clones each keeps, and the record of both. */
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { IsolateError, toIsolateError } from "../../protocol/errors.ts";
import {
  nearNames,
  parseTemplateName,
  type SnapshotName,
  splitSnapshotName,
  type TemplateName,
} from "../../protocol/names.ts";
import type { Pool, PoolChange, PoolRequest, Template } from "../../protocol/schema.ts";
import type { Config } from "../config.ts";
import type { Store } from "../records/store.ts";
import { shared } from "../service/shared.ts";
import type { TemplateInfo } from "../storage/driver.ts";
import type { Storage } from "../storage/storage.ts";
import type { Keeper } from "./keeper.ts";
import type { PoolSettings, PoolStatus } from "./pool.ts";
import { poolNotes } from "./pool-notes.ts";
import { templateOfInstance } from "./unit-instance.ts";
import type { Figures, Usage } from "./usage.ts";

export interface PoolsOptions {
  readonly store: Store;
  readonly keeper: Keeper;
  readonly storage: Storage;
  readonly usage: Usage;
  /** Called each time, as the configuration may be reloaded. */
  readonly config: () => Pick<Config, "pool" | "template">;
}

const largestPool = 100;
/** Milliseconds to look for names for a hint. */
const hintPatience = 3000;

export type Pools = ReturnType<typeof createPools>;

export function createPools({ store, keeper, storage, usage, config }: PoolsOptions) {
  function configuration(template: TemplateName) {
    const { pool, template: entries } = config();
    const entry = entries.find((one) => one.name === template);
    return { entry, configured: entry?.size ?? pool.size };
  }

  function named(): Set<TemplateName> {
    const configured = config().template.map(({ name }) => parseTemplateName(name));
    return new Set([...configured, ...store.pools().map(({ template }) => template)]);
  }

  /** A size set by `isolate -r` applies until the configuration changes. */
  function settings(template: TemplateName): PoolSettings {
    const { entry, configured } = configuration(template);
    const saved = store.pools().find((pool) => pool.template === template);
    const size = saved && saved.size !== null && saved.configured === configured ? saved.size : configured;
    return { template, size, snapshots: entry?.snapshots };
  }

  function remember(template: TemplateName, size: number | null): PoolSettings {
    store.savePool({ template, size, configured: configuration(template).configured });
    return settings(template);
  }

  /** For root, who may learn of datasets that are not templates. Throws why the storage cannot tell. */
  async function existing(template: TemplateName): Promise<TemplateInfo> {
    const near = async (): Promise<readonly string[]> =>
      nearNames(template, [...keeper.templates(), ...(await datasetsLike(template))]);
    try {
      const [found] = await storage.of(template).templates([template]);
      if (found?.failure) throw found.failure;
      if (found) return found;
    } catch (error) {
      // If the storage for names without a slash does not work, the caller meant a dataset.
      if (template.includes("/") || (await near()).length === 0) throw error;
    }
    const wrong = await storage.whyUnfit(template);
    if (wrong !== undefined) throw new IsolateError("unfit-template", { template, wrong });
    throw new IsolateError("unknown-template", { template, near: await near() });
  }

  /** Returns names with that last component, for a hint; none if the storage does not answer soon. */
  async function datasetsLike(template: TemplateName): Promise<readonly string[]> {
    if (template.includes("/")) return [];
    const asked = storage.drivers().map((driver) => driver.endingIn?.(template) ?? []);
    const found = Promise.all(asked).then((lists) => lists.flat());
    const known = new Set<string>(keeper.templates());
    const late = sleep(hintPatience, [], { ref: false });
    return (await Promise.race([found.catch(() => []), late])).filter((name) => !known.has(name));
  }

  /** Whether the storage says that a template which has a pool is no more. */
  async function isMissing(template: TemplateName): Promise<boolean> {
    if (!keeper.has(template)) return false;
    const look = async () => storage.of(template).templates([template]);
    return look().then(
      (found) => found.length === 0,
      () => false,
    );
  }

  /** What only the daemon remembers. The configuration's own stays, with a pool of none. */
  async function forget(template: TemplateName): Promise<PoolChange> {
    const isConfigured = configuration(template).entry !== undefined;
    if (isConfigured) remember(template, 0);
    else store.forgetPool(template);
    const status = isConfigured ? await keeper.setPool(settings(template), false) : await keeper.forget(template);
    const stays = `isolated.toml has a [[template]] of that name: remove it there, too`;
    const notes = [...keeper.left(template, true), ...(isConfigured ? [stays] : [])];
    return { ...withBytes(status, await usage.read()), notes };
  }

  async function change(status: PoolStatus, below: readonly string[]): Promise<PoolChange> {
    const template = status.template as TemplateName;
    const notes = poolNotes({
      template,
      snapshot: status.snapshot && splitSnapshotName(status.snapshot as SnapshotName).snapshot,
      pattern: configuration(template).entry?.snapshots,
      below,
      left: keeper.left(template, status.size === 0),
    });
    return { ...withBytes(status, await usage.read()), notes };
  }

  function withBytes(status: PoolStatus, figures: Figures): Pool {
    const template = status.template as TemplateName;
    const countedAt = figures.countedAt(template);
    let written = 0;
    for (const { id } of store.clonesOf(template)) written += figures.ofClone(template, id) ?? 0;
    const bytes = figures.ofTemplate(template) ?? null;
    return { ...status, bytes, written: countedAt === null ? null : written, countedAt };
  }

  function unknown(template: TemplateName, exists = false): IsolateError {
    return new IsolateError("unknown-template", {
      template,
      near: exists ? [] : nearNames(template, keeper.templates()),
      exists,
    });
  }

  return {
    /** Keeps a pool for each template in the configuration or the database, which is all that a start needs. */
    openNamed(): void {
      for (const template of named()) keeper.keep(settings(template));
    },

    /**
     * Keeps a pool for each template that the configuration, the database or a driver knows, and stops keeping others.
     * Called after the start, and after each reload of the configuration.
     */
    async open(): Promise<void> {
      const names = named();
      const silent = new Set<string>();
      for (const driver of storage.drivers()) {
        for (const { template } of await driver.templates(undefined, () => silent.add(driver.name)))
          names.add(template);
      }
      const had = new Set([...keeper.templates(), ...[...store.clones()].map(({ template }) => template)]);
      for (const template of had) {
        if (!names.has(template) && !silent.has(storage.nameFor(template))) keeper.drop(template);
      }
      for (const template of names) keeper.keep(settings(template));
    },

    /** Throws `unknown-template` unless root made it a template, even if the dataset exists. */
    async known(template: TemplateName, toRoot: boolean): Promise<void> {
      if (keeper.has(template)) return;
      // Members must not start root's processes with names of their choice.
      if (!toRoot) throw unknown(template);
      await existing(template).catch((error: unknown) => {
        throw toIsolateError(error).code === "unknown-template" ? error : unknown(template);
      });
      throw unknown(template, true);
    },

    async list(): Promise<Pool[]> {
      const figures = await usage.read();
      return keeper.describe().map((status) => withBytes(status, figures));
    },

    async set({ template: name, size: text, fresh, reclaimOnly, instance }: PoolRequest): Promise<PoolChange> {
      const template = instance ? templateOfInstance(name, keeper.templates()) : parseTemplateName(name);
      const size = text === undefined ? undefined : parseSize(text);
      if (reclaimOnly) {
        if (!keeper.has(template)) await existing(template);
        const pool = await keeper.reclaim(template);
        if (!pool) throw unknown(template);
        return change(pool, []);
      }
      if (size === 0 && keeper.has(template)) {
        if (await isMissing(template)) return forget(template);
        // Destroys the clones and makes none, even if the template is unusable.
        return change(await keeper.setPool(remember(template, 0), fresh), []);
      }
      const { below } = await existing(template);
      // Before anything is recorded: a dataset without a snapshot is not yet a template.
      await storage.of(template).latest(template, settings(template).snapshots);
      const keepsSize = size === undefined && keeper.has(template);
      const kept = keepsSize ? settings(template) : remember(template, size ?? null);
      return change(await keeper.setPool(kept, fresh), below);
    },

    templates: shared(async (): Promise<Template[]> => {
      const names = keeper.templates();
      const lists = storage.drivers().map((driver) => {
        const own = names.filter((name) => storage.nameFor(name) === driver.name);
        if (own.length === 0) return [];
        // Why its storage does not answer is the last error of its pool.
        return driver.templates(own).catch(() => own.map(nothingKnown));
      });
      const [figures, ...found] = await Promise.all([usage.read(), ...lists]);
      return found.flat().map(({ template, snapshot, created, bytes, below }) => ({
        template,
        driver: storage.nameFor(template),
        snapshot,
        created: created === null ? null : new Date(created).toISOString(),
        bytes: bytes ?? figures.ofTemplate(template) ?? null,
        below: [...below],
      }));
    }),

    async createTemplate(name: string, tar: Readable): Promise<string> {
      const template = parseTemplateName(name);
      const snapshot = await storage.of(template).createTemplate(template, tar);
      keeper.keep(remember(template, null));
      return snapshot;
    },

    async removeTemplate(name: string): Promise<void> {
      const template = parseTemplateName(name);
      if (await isMissing(template)) {
        await forget(template);
        return;
      }
      await existing(template);
      await keeper.removePool(template, async () => {
        await storage.of(template).removeTemplate(template);
        store.forgetPool(template);
      });
    },

    async snapshotTemplate(name: string): Promise<string> {
      const template = parseTemplateName(name);
      await existing(template);
      const snapshot = await storage.of(template).snapshot(template);
      await keeper.changed(template);
      return snapshot;
    },
  };
}

function nothingKnown(template: TemplateName): TemplateInfo {
  return { template, snapshot: null, created: null, bytes: null, below: [] };
}

/** Throws `bad-count`. */
function parseSize(text: string): number {
  if (!/^[0-9]{1,3}$/.test(text) || Number(text) > largestPool) throw new IsolateError("bad-count", { count: text });
  return Number(text);
}
