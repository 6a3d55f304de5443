/** Reports an error to the user. */
import { toIsolateError } from "../../../protocol/errors.ts";
import { Refusal } from "../../../protocol/refusal.ts";
import type { Libc } from "../linux/libc.ts";
import type { Output, Print } from "./print.ts";

export function report(thrown: unknown, print: Print): void {
  const error = thrown instanceof Refusal ? thrown : toIsolateError(thrown);
  print.error(error.message, error.hint);
}

export function createOutput(libc: Libc, environment: Output["environment"]): Output {
  return {
    write: libc.say,
    isTerminal: (fd) => environment.TERM !== "dumb" && libc.isTerminal(fd),
    environment,
  };
}
