/**
 * A file for each instance name of a template, touched when a lease of the template has ended.
 * `isolate_regenerate@.path` watches it. Only root can write to the file and to its directory.
 */
import { closeSync, constants, futimesSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import type { TemplateName } from "../../protocol/names.ts";
import { instancesOf } from "./unit-instance.ts";

/** The kernel's NAME_MAX; a unit's instance name cannot be longer either. */
const longestName = 255;

/** Returns a function that touches a template's files. It never throws, so that the end of a lease cannot fail. */
export function createSignals(runtimeDirectory: string, clock: () => number, log: Logger) {
  const directory = join(runtimeDirectory, "signal");
  mkdirSync(directory, { recursive: true, mode: 0o755 });

  function touch(name: string): void {
    const file = openSync(join(directory, name), constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
    try {
      futimesSync(file, clock() / 1000, clock() / 1000);
    } finally {
      closeSync(file); // a path unit reacts to the close after an open for writing
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
