/**
 * One file for each template, touched whenever a lease of it has ended: `isolate_regenerate@.path` watches it. Root's
 * alone, in a directory of root's.
 */
import { closeSync, constants, futimesSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import type { TemplateName } from "../../protocol/names.ts";

/** The kernel's NAME_MAX; no unit can have a longer instance either. */
const longestName = 255;

/** Returns what touches the file of a template. It never throws: a lease's end must not fail because of it. */
export function createSignals(runtimeDirectory: string, clock: () => number, log: Logger) {
  const directory = join(runtimeDirectory, "signal");
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  return (template: TemplateName): void => {
    const name = escapeUnitName(template);
    if (name.length > longestName) return;
    try {
      const file = openSync(
        join(directory, name),
        constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW,
        0o644,
      );
      try {
        futimesSync(file, clock() / 1000, clock() / 1000);
      } finally {
        closeSync(file); // the close after an open for writing is what a path unit sees
      }
    } catch (error) {
      log.warn({ template, err: error }, "cannot touch the signal file");
    }
  };
}

/** As systemd-escape(1) writes an instance's name; a template's name holds nothing else that it would change. */
export function escapeUnitName(template: TemplateName): string {
  return template.replaceAll("-", "\\x2d").replaceAll("/", "-");
}
