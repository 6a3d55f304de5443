/** The protocol of the client and the keeper of its container: one line of JSON each way, then `stop` or `kill`. */

/** The first word of the keeper's command line; the help does not list it. */
export const keeperWord = "--keep-container";

export interface KeeperOrder {
  /** The keeper creates it if it is missing, and removes it at the end. */
  readonly directory: string;
  readonly name: string;
  readonly config: string;
  /** The caller's compiled filter in base64, for the file `filter` in the directory. */
  readonly filter: string | undefined;
  readonly start: readonly string[];
  readonly info: readonly string[];
  readonly stop: readonly string[];
  readonly kill: readonly string[];
  /**
   * Prints the state of the systemd inside, and waits until it has booted. `undefined` for another init, which is up
   * when it runs.
   */
  readonly systemd: readonly string[] | undefined;
}

export type KeeperAnswer = { readonly ready: true } | { readonly failed: string };
