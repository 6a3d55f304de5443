import { expect, test } from "@jest/globals";
import { readEnvironment, withoutBun } from "../../../../client/starter/environment.ts";

test("an environment is read as by getenv(3)", () => {
  const lines = ["A=1", "B=x=y", "A=2", "PRE_SPAWN_HOOKx", "", "__proto__=p", "C="];
  expect(Object.entries(readEnvironment(lines))).toEqual([
    ["A", "1"],
    ["B", "x=y"],
    ["__proto__", "p"],
    ["C", ""],
  ]);
});

test("what Bun obeys is left out, and nothing else", () => {
  const obeyed = { BUN_OPTIONS: "--preload x", BUN_BE_BUN: "1", BUN_JSC_dumpOptions: "1", BUN_INSPECT: "" };
  const others = { A: "1", BUN: "2", XBUN_OPTIONS: "3" };
  expect(withoutBun({ ...obeyed, ...others })).toEqual(others);
});
