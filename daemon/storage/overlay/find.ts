/** Finds templates and clones in the overlay store. Ignores directories without this store's mark. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { IsolateError } from "../../../protocol/errors.ts";
import { isCloneId, nearNames, splitSnapshotName, type TemplateName } from "../../../protocol/names.ts";
import type { CloneInfo } from "../driver.ts";
import { isOwnName, markedSnapshot, readMark, type TemplatePaths, templatePaths } from "./layout.ts";
import type { OverlayStore } from "./store.ts";

export function listTemplates(store: OverlayStore): TemplateName[] {
  const marked = (name: string): name is TemplateName => readMark(join(store.templates, name), store.id) === name;
  return readdirSync(store.templates).filter(marked);
}

/** Throws `unknown-template`. */
export function findTemplate(store: OverlayStore, template: TemplateName): TemplatePaths {
  const paths = templatePaths(join(store.templates, template));
  if (isOwnName(template) && readMark(paths.home, store.id) === template) return paths;
  throw new IsolateError("unknown-template", { template, near: nearNames(template, listTemplates(store)) });
}

export function listClones(store: OverlayStore): CloneInfo[] {
  return readdirSync(store.clones).flatMap((name) => findClone(store, name) ?? []);
}

/** The same, with pauses, so that leases are served while it reads thousands of clones. */
export async function listClonesSlowly(store: OverlayStore): Promise<CloneInfo[]> {
  const found: CloneInfo[] = [];
  for (const [index, name] of readdirSync(store.clones).entries()) {
    if (index % atOnce === 0) await new Promise((resolve) => setImmediate(resolve));
    found.push(...[findClone(store, name) ?? []].flat());
  }
  return found;
}

/** The number of clones that this thread reads in a millisecond. */
const atOnce = 50;

export function findClone(store: OverlayStore, name: string): CloneInfo | undefined {
  if (!isCloneId(name)) return undefined;
  const snapshot = markedSnapshot(readMark(join(store.clones, name), store.id) ?? "");
  return snapshot && { id: name, template: splitSnapshotName(snapshot).template, snapshot };
}
