/** What root should know about a pool after `isolate -r`. Pure. */

export interface PoolFindings {
  readonly template: string;
  /** The name of the snapshot that clones are made of, without the template's; null: there is none. */
  readonly snapshot: string | null;
  /** The configured pattern of usable snapshots. */
  readonly pattern: string | undefined;
  /** What is below the template in the storage. */
  readonly below: readonly string[];
  /** Why clones are still there that should be gone. */
  readonly left: readonly string[];
}

/** Sentences are shown for so many of a kind. */
const most = 5;

export function poolNotes({ template, snapshot, pattern, below, left }: PoolFindings): string[] {
  const notes = left.slice(0, most);
  if (left.length > most) notes.push(`${left.length - most} more clones could not be destroyed; see 'zfs list -t all'`);
  if (below.length > 0) notes.push(belowNote(template, below));
  if (pattern === undefined && snapshot !== null && isAutomatic(snapshot)) {
    notes.push(
      `the pool of '${template}' uses the snapshot '${snapshot}', which looks like a backup tool's: to choose others, set ` +
        `snapshots = "PATTERN" for that [[template]] in isolated.toml`,
    );
  }
  return notes;
}

/** A clone is a clone of one dataset. */
export function belowNote(template: string, below: readonly string[]): string {
  const names = below.slice(0, most).join(", ") + (below.length > most ? ", ..." : "");
  return `datasets below '${template}' are not in its clones: ${names}`;
}

const tools =
  /^(autosnap|zrepl|syncoid|zfs-auto-snap|znapzend|pyznap|repl|backup|send|migrate)([_.:-]|$)|^__replicate_/i;

/** Whether snapshots of that name are made by a tool, and removed by it: sanoid, zrepl, zfs-auto-snapshot and others. */
export function isAutomatic(snapshot: string): boolean {
  return tools.test(snapshot);
}
