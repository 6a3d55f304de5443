/** Which of a template's snapshots new clones are made of. */
import type { Snapshot } from "./parse.ts";

/** A glob of `*` and `?` against the part of a snapshot's name behind the `@`. */
export function fits(pattern: string, short: string): boolean {
  const expression = pattern.replace(/[^*?]/g, (literal) => `\\u{${literal.codePointAt(0)?.toString(16)}}`);
  return new RegExp(`^${expression.replaceAll("*", ".*").replaceAll("?", ".")}$`, "su").test(short);
}

/**
 * The newest snapshot that fits and differs from the fitting one before it: pools are not made anew for hourly
 * snapshots of a template that nobody touched.
 *
 * `written` compares a snapshot with the one right before it, whatever its name. So a snapshot differs from an earlier
 * one when anything was written anywhere between the two, be it in snapshots that do not fit.
 *
 * @param snapshots in the order of their making
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
