/** Detects new snapshots of templates, including those that others made. */
import type { TemplateName } from "../../../protocol/names.ts";
import { listChanges, listGuids } from "./args.ts";
import { ofThoseThere, type Zfs } from "./command.ts";
import { parseChanges, parseGuids, poolOf } from "./parse.ts";
import { refusal } from "./refusal.ts";
import { isDataset } from "./templates.ts";

/**
 * The result of checking one template: a value that differs if its snapshots do, and whether an equal one is reliable.
 */
export interface Sight {
  readonly value: string;
  readonly certain: boolean;
}

/**
 * A dataset's `snapshots_changed`, read by a check that began at `lookedAt` (milliseconds). It counts whole seconds, so
 * a second that was not yet over, or only just, may since have brought another snapshot.
 */
export function sightOf(seconds: number, lookedAt: number): Sight {
  return { value: String(seconds), certain: (seconds + 2) * 1000 <= lookedAt };
}

/** The first check counts as a change, as it is unknown what happened before it. */
export function isChange(before: Sight | undefined, now: Sight): boolean {
  return before === undefined || !before.certain || before.value !== now.value;
}

interface Seen {
  readonly sights: Map<TemplateName, Sight>;
  /** Storage pools that did not answer, and why. */
  readonly silent: ReadonlyMap<string, unknown>;
}

interface Options {
  readonly zfs: Zfs;
  readonly now: () => number;
  /** Milliseconds between two checks. */
  readonly interval: number;
  /** Told once when looking begins to fail in a storage pool. */
  readonly warn: (error: unknown) => void;
}

export function createWatch({ zfs, now, interval, warn }: Options) {
  /** `false` on OpenZFS before 2.2, which lacks the property. */
  let hasChanges = true;

  async function look(names: readonly TemplateName[]): Promise<Seen> {
    const lookedAt = now();
    if (hasChanges) {
      const { output, silent } = await ofThoseThere(zfs, listChanges, names);
      if (![...silent.values()].some((error) => refusal(error) === "no-property")) {
        const seen = [...parseChanges(output)].map(
          ([name, seconds]) => [name as TemplateName, sightOf(seconds, lookedAt)] as const,
        );
        return { sights: new Map(seen), silent };
      }
      hasChanges = false;
    }
    const { output, silent } = await ofThoseThere(zfs, listGuids, names);
    const answered = names.filter((name) => !silent.has(poolOf(name)));
    const seen = [...parseGuids(output, answered)].map(
      ([name, value]) => [name as TemplateName, { value, certain: true }] as const,
    );
    return { sights: new Map(seen), silent };
  }

  return function watch(
    templates: () => readonly TemplateName[],
    changed: (template: TemplateName) => void,
  ): () => void {
    /** The last check of each template; `undefined` if it was not there, or its pool did not answer. */
    let before = new Map<TemplateName, Sight | undefined>();
    let silentBefore: ReadonlySet<string> = new Set();
    let timer: NodeJS.Timeout | undefined;
    let stopped = false;

    async function poll(): Promise<void> {
      const names = templates().filter(isDataset);
      const { sights, silent } = await look(names);
      const news = [...sights].filter(([template, sight]) => isChange(before.get(template), sight));
      // It was destroyed or renamed, or its pool does not answer: who asks for its snapshots learns which.
      const lost = names.filter((template) => !sights.has(template));
      const newlyLost = lost.filter(
        // Seen before, or missing at its first check: a rename may come sooner than that.
        (template) => before.get(template) || !(before.has(template) || silent.has(poolOf(template))),
      );
      for (const [pool, error] of silent) if (!silentBefore.has(pool)) warn(error);
      before = new Map(names.map((template) => [template, sights.get(template)]));
      silentBefore = new Set(silent.keys());
      for (const template of [...news.map(([template]) => template), ...newlyLost]) if (!stopped) changed(template);
    }

    async function pollAndGoOn(): Promise<void> {
      await poll().catch(warn);
      if (!stopped) timer = setTimeout(pollAndGoOn, interval).unref();
    }

    timer = setTimeout(pollAndGoOn, 0).unref();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  };
}
