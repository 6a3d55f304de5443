/**
 * The space that the overlay store uses. Only a walk through the trees tells, and they may hold millions of files.
 * du(1) does it, in another process, at the lowest priority and with a time limit. It reports each tree as soon as it
 * is done, and follows no symbolic link.
 */
import { readdirSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { isCloneId, type TemplateName } from "../../../protocol/names.ts";
import { CommandError, run } from "../../linux/child-process.ts";
import type { Accounting } from "../driver.ts";
import { storing } from "../failure.ts";
import { listTemplates } from "./find.ts";
import { cloneLayer, readLayers, stackUpTo, templatePaths } from "./layout.ts";
import type { OpenOverlay } from "./store.ts";

/** Seconds for all clones together. */
const clonePatience = 10;
/** Seconds for the layers of all templates. Each layer is counted once, since it never changes. */
const layerPatience = 120;

export function createUsage(store: () => OpenOverlay): Accounting {
  /** `undefined` if counting took too long. */
  const layers = new Map<string, number | undefined>();
  let counting = false;

  function layersOf(template: TemplateName): string[] {
    const paths = templatePaths(join(store().templates, template));
    return stackUpTo(readLayers(paths.layers)).map((stamp) => join(paths.layers, stamp));
  }

  async function countLayers(paths: readonly string[]): Promise<void> {
    const missing = paths.filter((path) => !layers.has(path));
    for (const path of layers.keys()) if (!paths.includes(path)) layers.delete(path);
    if (counting || missing.length === 0) return;
    counting = true;
    try {
      const counted = await countTrees(missing, layerPatience);
      for (const path of missing) layers.set(path, counted.get(path));
    } finally {
      counting = false;
    }
  }

  return {
    usage: (templates) =>
      storing("count the bytes in use", async () => {
        const clones = readdirSync(store().clones).filter(isCloneId);
        const known = listTemplates(store()).filter((template) => templates.includes(template));
        const upperOf = (home: string): string => cloneLayer(home).upper;
        const cloneTree = (id: string): string => upperOf(join(store().clones, id));
        const working = (template: string): string => templatePaths(join(store().templates, template)).working.upper;
        // Not awaited: complete root filesystems would delay the counts of the clones.
        countLayers(known.flatMap(layersOf)).catch(() => undefined);
        const counted = await countTrees([...clones.map(cloneTree), ...known.map(working)], clonePatience);
        const sum = (template: TemplateName): number | undefined =>
          layersOf(template).reduce<number | undefined>(
            (total, path) => {
              const bytes = layers.get(path);
              return total === undefined || bytes === undefined ? undefined : total + bytes;
            },
            counted.get(working(template)) ?? 0,
          );
        return {
          clones: pairs(clones, (id) => counted.get(cloneTree(id))),
          templates: pairs(known, sum),
        };
      }),
    space: (templates) =>
      storing("ask for the space", async () => {
        if (templates.length === 0) return [];
        const { bavail, blocks, bsize } = await statfs(store().clones);
        return [{ place: "the overlay store", free: bavail * bsize, total: blocks * bsize }];
      }),
  };
}

function pairs<Key>(keys: readonly Key[], measure: (key: Key) => number | undefined): Map<Key, number> {
  return new Map(
    keys.flatMap((key): [Key, number][] => {
      const value = measure(key);
      return value === undefined ? [] : [[key, value]];
    }),
  );
}

/** Returns the bytes on disk of each tree that could be counted within `seconds`. */
async function countTrees(trees: readonly string[], seconds: number): Promise<ReadonlyMap<string, number>> {
  if (trees.length === 0) return new Map();
  const du = ["nice", "-n", "19", "du", "-s", "-x", "--block-size=1", "--", ...trees];
  const output = await run("timeout", [String(seconds), ...du]).catch((error: unknown) => {
    // A clone was destroyed meanwhile, or the time is up: the earlier output is still valid.
    if (error instanceof CommandError) return error.stdout;
    throw error;
  });
  // The last line may be cut off.
  const lines = output.slice(0, output.lastIndexOf("\n") + 1).split("\n");
  return new Map(
    lines.flatMap((line): [string, number][] => {
      const [, bytes, path] = /^([0-9]+)\t(.*)$/.exec(line) ?? [];
      return path === undefined ? [] : [[path, Number(bytes)]];
    }),
  );
}
