import type { ErrorBody } from "./errors.ts";

/** An error that the daemon answered, for the user; the sentence is the daemon's. */
export class Refusal extends Error {
  readonly code: string;
  readonly hint: string;
  constructor({ code, message, hint }: ErrorBody) {
    super(message);
    this.name = "Refusal";
    this.code = code;
    this.hint = hint;
  }
}

/** Returns `undefined` if the text is not an `ErrorBody`. */
export function readErrorBody(text: string): ErrorBody | undefined {
  try {
    const body = JSON.parse(text) as Partial<Record<keyof ErrorBody, unknown>> | null;
    if (typeof body?.code !== "string" || typeof body.message !== "string" || typeof body.hint !== "string")
      return undefined;
    return { code: body.code, message: body.message, hint: body.hint };
  } catch {
    return undefined;
  }
}
