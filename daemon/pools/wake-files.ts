/**
 * A file for each instance of a unit that means a template, touched whenever a lease of it has ended:
 * `isolate_regenerate@.path` watches it. Root's alone, in a directory of root's.
 */
import { closeSync, constants, futimesSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import type { TemplateName } from "../../protocol/names.ts";
import { instancesOf } from "./unit-instance.ts";

/** The kernel's NAME_MAX; no unit can have a longer instance either. */
const longestName = 255;

/** Returns what touches the files of a template. It never throws: a lease's end must not fail because of it. */
export function createSignals(runtimeDirectory: string, clock: () => number, log: Logger) {
  const directory = join(runtimeDirectory, "signal");
  mkdirSync(directory, { recursive: true, mode: 0o755 });

  function touch(name: string): void {
    const file = openSync(join(directory, name), constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
    try {
      futimesSync(file, clock() / 1000, clock() / 1000);
    } finally {
      closeSync(file); // the close after an open for writing is what a path unit sees
    }
  }

  return (template: TemplateName): void => {
    for (const name of instancesOf(template)) {
      if (name.length > longestName) continue;
      try {
        touch(name);
      } catch (error) {
        log.warn({ template, err: error }, "cannot touch the signal file");
      }
    }
  };
}
