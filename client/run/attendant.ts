/** What the client and the keeper of its container say to each other: one line of JSON each way, then `stop` or `kill`. */

/** The first word of the keeper's command line; in no help. */
export const keeperWord = "--keep-container";

export interface KeeperOrder {
  /** The keeper makes it where it is missing, and removes it. */
  readonly directory: string;
  readonly name: string;
  readonly config: string;
  /** A compiled filter of the caller's, in base 64: the file `filter` of the directory. */
  readonly filter: string | undefined;
  readonly start: readonly string[];
  readonly info: readonly string[];
  readonly stop: readonly string[];
  readonly kill: readonly string[];
  /** Prints the state of the systemd inside, and waits until it has booted. Another init is up when it runs. */
  readonly systemd: readonly string[] | undefined;
}

export type KeeperAnswer = { readonly ready: true } | { readonly failed: string };
