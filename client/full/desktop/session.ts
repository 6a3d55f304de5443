/** The caller's session, as the desktop modules use it. */
import type { BaseIds } from "../../../protocol/ids.ts";
import type { Libc } from "../../run/linux/libc.ts";
import type { Environment } from "../../run/options/requests.ts";

export interface Session {
  readonly environment: Environment;
  readonly uid: number;
  /** The ids that root chose for the sandbox. */
  readonly ids: BaseIds | undefined;
  readonly libc: Libc;
  /** Prints a warning about something that is less safe than it could be. */
  warn(sentence: string, hint: string): void;
  /** Connects as the caller. */
  connect(path: string): number;
  /** Connects as a user that the server knows no better than it will know the sandbox. */
  connectAsSandbox(path: string): number;
}
