/**
 * The bytes that templates and clones use. Counting is expensive, so it runs in the background, only on request, and
 * pauses for twenty times as long as it took. An answer may therefore be old; it says when it was counted.
 */
import type { Logger } from "pino";
import type { CloneId, TemplateName } from "../../protocol/names.ts";
import type { Usage as Counted, StorageDriver } from "../storage/driver.ts";
import type { Storage } from "../storage/storage.ts";

export interface UsageOptions {
  readonly storage: Storage;
  readonly templates: () => readonly TemplateName[];
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly log: Logger;
}

export interface Figures {
  /** Returns `undefined` if the bytes are not counted. */
  ofTemplate(template: TemplateName): number | undefined;
  ofClone(template: TemplateName, id: CloneId): number | undefined;
  /** Returns when the template and its clones were counted; null if they were not. */
  countedAt(template: TemplateName): string | null;
}

export interface Usage {
  /** Returns the newest figures that are available in a moment. Never throws. */
  read(): Promise<Figures>;
}

/** Milliseconds that an answer waits for figures that are being counted. */
const patience = 30;
const shortestRest = 1000;
const restFactor = 20;
const restAfterFailure = 60_000;

export function createUsage({ storage, templates, clock, log }: UsageOptions): Usage {
  const figures = new Map<string, { readonly counted: Counted; readonly at: number }>();
  const underWay = new Map<string, Promise<void>>();
  const restsUntil = new Map<string, number>();

  async function count(driver: StorageDriver): Promise<void> {
    const begun = clock();
    try {
      const counted = await driver.usage(templates().filter((template) => storage.nameFor(template) === driver.name));
      const at = clock();
      figures.set(driver.name, { counted, at });
      restsUntil.set(driver.name, at + Math.max(shortestRest, restFactor * (at - begun)));
    } catch (error) {
      log.warn({ driver: driver.name, err: error }, "cannot count the bytes in use");
      restsUntil.set(driver.name, clock() + restAfterFailure);
    } finally {
      underWay.delete(driver.name);
    }
  }

  function refresh(driver: StorageDriver): Promise<void> {
    const before = underWay.get(driver.name);
    if (before) return before;
    const rests = restsUntil.get(driver.name) ?? Number.NEGATIVE_INFINITY;
    // If the clock is set back, the pause must not last for years.
    if (clock() < rests && rests - clock() < restAfterFailure * 10) return Promise.resolve();
    const counting = count(driver);
    underWay.set(driver.name, counting);
    return counting;
  }

  return {
    async read() {
      let timer: NodeJS.Timeout | undefined;
      const enough = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, patience);
      });
      await Promise.race([Promise.all(storage.drivers().map(refresh)), enough]);
      clearTimeout(timer);
      const of = (template: TemplateName) => figures.get(storage.nameFor(template));
      return {
        ofTemplate: (template) => of(template)?.counted.templates.get(template),
        ofClone: (template, id) => of(template)?.counted.clones.get(id),
        countedAt(template) {
          const at = of(template)?.at;
          return at === undefined ? null : new Date(at).toISOString();
        },
      };
    },
  };
}
