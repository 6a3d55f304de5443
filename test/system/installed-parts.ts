/** The tests of the installed package, part by part. */

export interface InstalledPart {
  /** For jest. */
  readonly pattern: string;
  /** The machine is booted again before it. */
  readonly reboot: boolean;
}

export const installedDirectory = "dist/js/test/installed";

export const installedParts: readonly InstalledPart[] = [
  { pattern: `${installedDirectory}/install`, reboot: false },
  { pattern: `${installedDirectory}/reboot`, reboot: true },
  { pattern: `${installedDirectory}/docs`, reboot: false },
  { pattern: `${installedDirectory}/upgrade`, reboot: false },
];
