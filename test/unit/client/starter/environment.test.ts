import { expect, test } from "@jest/globals";
import { readEnvironment } from "../../../../client/starter/environment.ts";

test("an environment is read as by getenv(3)", () => {
  const lines = ["A=1", "B=x=y", "A=2", "PRE_SPAWN_HOOKx", "", "__proto__=p", "C="];
  expect(Object.entries(readEnvironment(lines))).toEqual([
    ["A", "1"],
    ["B", "x=y"],
    ["__proto__", "p"],
    ["C", ""],
  ]);
});
