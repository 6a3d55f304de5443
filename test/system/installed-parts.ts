/** The tests of the installed package, part by part. */

export interface InstalledPart {
  /** The pattern for jest. */
  readonly pattern: string;
  /** Whether the machine is rebooted before this part. */
  readonly reboot: boolean;
}

export const installedDirectory = "dist/js/test/installed";

export const installedParts: readonly InstalledPart[] = [
  { pattern: `${installedDirectory}/install`, reboot: false },
  { pattern: `${installedDirectory}/reboot`, reboot: true },
  { pattern: `${installedDirectory}/docs`, reboot: false },
  { pattern: `${installedDirectory}/upgrade`, reboot: false },
];
