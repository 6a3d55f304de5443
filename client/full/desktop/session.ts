/** The caller's session, as the parts of the desktop use it. */
import type { BaseIds } from "../../../protocol/ids.ts";
import type { Libc } from "../../run/linux/libc.ts";
import type { Environment } from "../../run/options/options.ts";

export interface Session {
  readonly environment: Environment;
  readonly uid: number;
  /** Root's choice for the sandbox. */
  readonly ids: BaseIds | undefined;
  readonly libc: Libc;
  /** What is not as safe as it could be. */
  warn(sentence: string, hint: string): void;
  /** Connects as the caller. */
  connect(path: string): number;
  /** Connects as somebody whom a server would know as little as it will know the sandbox. */
  connectAsSandbox(path: string): number;
}
