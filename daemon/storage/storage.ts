/**
 * The drivers of this host as one storage. A template's name decides its driver: a ZFS dataset in a pool has a slash.
 */
import { IsolateError, toIsolateError } from "../../protocol/errors.ts";
import type { TemplateName } from "../../protocol/names.ts";
import type { StorageDriver } from "./driver.ts";

export interface Storage {
  /** Returns the template's driver. Throws the error of the driver's `check` if it does not work on this host. */
  of(template: TemplateName): StorageDriver;
  nameFor(template: TemplateName): string;
  /** Why what has that name can be no template; undefined where nothing has it. */
  whyUnfit(template: TemplateName): Promise<string | undefined>;
  /** Those that work here. */
  drivers(): readonly StorageDriver[];
  /** Returns the result of each driver's check. */
  checks(): readonly { readonly driver: string; readonly failure: IsolateError | undefined }[];
  close(): void;
}

/** Checks both drivers. Throws `unsupported-host` if neither works. */
export async function openStorage(zfs: StorageDriver, overlay: StorageDriver): Promise<Storage> {
  const failures = new Map<StorageDriver, IsolateError>();
  for (const driver of [zfs, overlay]) {
    await driver.check().catch((error: unknown) => failures.set(driver, toIsolateError(error)));
  }
  const working = [zfs, overlay].filter((driver) => !failures.has(driver));
  if (working.length === 0) {
    const [first, second] = [...failures.values()];
    const what = `${first?.message}; ${second?.message}`;
    throw new IsolateError("unsupported-host", { what, fix: `${first?.hint}; or ${second?.hint}` });
  }
  const byName = (template: TemplateName): StorageDriver => (template.includes("/") ? zfs : overlay);
  return {
    of(template) {
      const driver = byName(template);
      const failure = failures.get(driver);
      if (failure) throw failure;
      return driver;
    },
    nameFor: (template) => byName(template).name,
    async whyUnfit(template) {
      for (const driver of working) {
        const wrong = await driver.whyUnfit?.(template);
        if (wrong !== undefined) return wrong;
      }
      return undefined;
    },
    drivers: () => working,
    checks: () => [zfs, overlay].map((driver) => ({ driver: driver.name, failure: failures.get(driver) })),
    close() {
      for (const driver of working) driver.close();
    },
  };
}
