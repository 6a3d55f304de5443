/** Root's management of templates and pools: which exist, how many clones each keeps, and the record of both. */
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { IsolateError, toIsolateError } from "../../protocol/errors.ts";
import { nearNames, parseTemplateName, type TemplateName } from "../../protocol/names.ts";
import type { Pool, PoolRequest, Template } from "../../protocol/schema.ts";
import type { Config } from "../config.ts";
import type { Store } from "../records/store.ts";
import { shared } from "../service/shared.ts";
import type { Storage } from "../storage/storage.ts";
import type { Keeper } from "./keeper.ts";
import type { PoolSettings, PoolStatus } from "./pool.ts";
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

  /** For root, who may learn of datasets that are not templates. */
  async function existing(template: TemplateName): Promise<void> {
    const near = async (): Promise<readonly string[]> =>
      nearNames(template, [...keeper.templates(), ...(await datasetsLike(template))]);
    try {
      const [found] = await storage.of(template).templates([template]);
      if (found) return;
    } catch (error) {
      // If the storage for names without a slash does not work, the caller meant a dataset.
      if (template.includes("/") || (await near()).length === 0) throw error;
    }
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
      for (const driver of storage.drivers()) for (const { template } of await driver.templates()) names.add(template);
      const had = new Set([...keeper.templates(), ...[...store.clones()].map(({ template }) => template)]);
      for (const template of had) if (!names.has(template)) keeper.drop(template);
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

    async set({ template: name, size: text, fresh, reclaimOnly, instance }: PoolRequest): Promise<Pool> {
      const template = instance ? templateOfInstance(name, keeper.templates()) : parseTemplateName(name);
      const size = text === undefined ? undefined : parseSize(text);
      if (!keeper.has(template)) await existing(template);
      if (reclaimOnly) {
        const pool = await keeper.reclaim(template);
        if (!pool) throw unknown(template);
        return withBytes(pool, await usage.read());
      }
      // Before anything is recorded: a dataset without a snapshot is not yet a template.
      await storage.of(template).latest(template, settings(template).snapshots);
      const keepsSize = size === undefined && keeper.has(template);
      const kept = keepsSize ? settings(template) : remember(template, size ?? null);
      return withBytes(await keeper.setPool(kept, fresh), await usage.read());
    },

    templates: shared(async (): Promise<Template[]> => {
      const names = keeper.templates();
      const lists = storage.drivers().map((driver) => {
        const own = names.filter((name) => storage.nameFor(name) === driver.name);
        return own.length === 0 ? [] : driver.templates(own);
      });
      const [figures, ...found] = await Promise.all([usage.read(), ...lists]);
      return found.flat().map(({ template, snapshot, created, bytes }) => ({
        template,
        driver: storage.nameFor(template),
        snapshot,
        created: created === null ? null : new Date(created).toISOString(),
        bytes: bytes ?? figures.ofTemplate(template) ?? null,
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

/** Throws `bad-count`. */
function parseSize(text: string): number {
  if (!/^[0-9]{1,3}$/.test(text) || Number(text) > largestPool) throw new IsolateError("bad-count", { count: text });
  return Number(text);
}
