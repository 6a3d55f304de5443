/** Chooses the snapshot of a template from which new clones are made. */
import type { Snapshot } from "./parse.ts";

/** Matches a glob of `*` and `?` against the part of a snapshot's name after the `@`. */
export function fits(pattern: string, short: string): boolean {
  const expression = pattern.replace(/[^*?]/g, (literal) => `\\u{${literal.codePointAt(0)?.toString(16)}}`);
  return new RegExp(`^${expression.replaceAll("*", ".*").replaceAll("?", ".")}$`, "su").test(short);
}

/**
 * Returns the newest matching snapshot that differs from the previous matching one, so that hourly snapshots of an
 * unchanged template do not refill its pool.
 *
 * `written` compares a snapshot with the one directly before it, whatever its name. So a snapshot differs from an
 * earlier one if anything was written between the two, even in snapshots that do not match.
 *
 * @param snapshots in the order of creation
 */
export function chooseLatest(snapshots: readonly Snapshot[], pattern = "*"): Snapshot | undefined {
  let chosen: Snapshot | undefined;
  let changed = false;
  for (const snapshot of snapshots) {
    changed ||= snapshot.written > 0;
    if (!fits(pattern, snapshot.name.slice(snapshot.name.indexOf("@") + 1))) continue;
    if (chosen && !changed) continue;
    chosen = snapshot;
    changed = false;
  }
  return chosen;
}
