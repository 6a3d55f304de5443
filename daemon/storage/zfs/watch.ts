/** Detects new snapshots of templates, including those that others made. */
import type { TemplateName } from "../../../protocol/names.ts";
import { listChanges, listGuids } from "./args.ts";
import { ofThoseThere, type Zfs } from "./command.ts";
import { parseChanges, parseGuids } from "./parse.ts";
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

interface Options {
  readonly zfs: Zfs;
  readonly now: () => number;
  /** Milliseconds between two checks. */
  readonly interval: number;
  /** Called once when checks start to fail. */
  readonly warn: (error: unknown) => void;
}

export function createWatch({ zfs, now, interval, warn }: Options) {
  /** `false` on OpenZFS before 2.2, which lacks the property. */
  let hasChanges = true;

  async function look(names: readonly TemplateName[]): Promise<Map<TemplateName, Sight>> {
    const lookedAt = now();
    try {
      if (hasChanges) {
        const changes = parseChanges(await ofThoseThere(zfs, listChanges, names));
        return new Map([...changes].map(([name, seconds]) => [name as TemplateName, sightOf(seconds, lookedAt)]));
      }
    } catch (error) {
      if (refusal(error) !== "no-property") throw error;
      hasChanges = false;
    }
    const guids = parseGuids(await ofThoseThere(zfs, listGuids, names), names);
    return new Map([...guids].map(([name, value]) => [name as TemplateName, { value, certain: true }]));
  }

  return function watch(
    templates: () => readonly TemplateName[],
    changed: (template: TemplateName) => void,
  ): () => void {
    let before = new Map<TemplateName, Sight>();
    let timer: NodeJS.Timeout | undefined;
    let stopped = false;
    let failing = false;

    async function poll(): Promise<void> {
      const names = templates().filter(isDataset);
      const sights = names.length > 0 ? await look(names) : new Map<TemplateName, Sight>();
      const news = [...sights].filter(([template, sight]) => isChange(before.get(template), sight));
      before = sights;
      for (const [template] of news) if (!stopped) changed(template);
    }

    async function pollAndGoOn(): Promise<void> {
      try {
        await poll();
        failing = false;
      } catch (error) {
        if (!failing) warn(error);
        failing = true;
      }
      if (!stopped) timer = setTimeout(pollAndGoOn, interval).unref();
    }

    timer = setTimeout(pollAndGoOn, 0).unref();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  };
}
