/** The only validator, for fastify's routes and for upgrades. It coerces nothing and drops nothing. */
import type { TSchema } from "@sinclair/typebox";
import { Ajv, type ValidateFunction } from "ajv";
import { IsolateError } from "../../protocol/errors.ts";

/** Throws `bad-request`; `what` names the part of the request. */
export type Validate = (schema: TSchema, value: unknown, what: string) => void;

export function createValidate(): Validate {
  const ajv = new Ajv({ strict: false });
  const compiled = new Map<TSchema, ValidateFunction>();
  return (schema, value, what) => {
    const validate = compiled.get(schema) ?? ajv.compile(schema);
    compiled.set(schema, validate);
    if (validate(value)) return;
    throw new IsolateError("bad-request", { wrong: ajv.errorsText(validate.errors, { dataVar: what }) });
  };
}
