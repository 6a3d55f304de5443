/** The dependencies that every verb receives. */
import type { Libc } from "../../run/linux/libc.ts";
import type { Common } from "../../run/options/requests.ts";
import type { Output, Print } from "../../run/report/print.ts";
import type { Api } from "../api.ts";

export interface CommandContext {
  readonly common: Common;
  readonly api: Api;
  readonly print: Print;
  readonly output: Output;
  readonly libc: Libc;
}
