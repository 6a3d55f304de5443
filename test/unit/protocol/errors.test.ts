import { expect, test } from "@jest/globals";
import { IsolateError, toIsolateError } from "../../../protocol/errors.ts";

test("an error is one sentence, a hint and its cause", () => {
  const cause = new Error("EIO");
  const error = new IsolateError("no-snapshot", { template: "p/t" }, cause);
  expect(error.body()).toEqual({
    code: "no-snapshot",
    message: "cannot clone the template 'p/t': it has no snapshot yet",
    hint: "as root: isolate template snapshot p/t",
  });
  expect([error.status, error.cause]).toEqual([409, cause]);
});

test("an unknown template's hint names similar templates", () => {
  expect(new IsolateError("unknown-template", { template: "debain", near: ["debian"] }).hint).toBe(
    "did you mean debian?",
  );
});

test("any other thrown value becomes an internal error that keeps it", () => {
  const thrown = new TypeError("x is not a function");
  expect(toIsolateError(thrown)).toMatchObject({
    code: "internal",
    cause: thrown,
    message: "cannot go on: x is not a function",
  });
});
