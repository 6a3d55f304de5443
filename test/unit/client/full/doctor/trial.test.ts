import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { outcome, run } from "../../../../../client/full/doctor/trial.ts";

test("what a program says and how it ends", async () => {
  expect(await run("sh", ["-c", "echo out; echo err >&2; exit 3"])).toEqual({
    code: 3,
    stdout: "out\n",
    stderr: "err\n",
  });
  expect((await run("/no/such/program", [])).code).toBeNull();
});

test("a program that cannot be ended is given up, whatever still holds its output", async () => {
  const directory = mkdtempSync(join(tmpdir(), "isolate-trial-"));
  const end = join(directory, "end");
  try {
    const wait = `trap "" TERM; while [ ! -e ${end} ]; do sleep 0.1; done`;
    const given = await run("sh", ["-c", `(${wait}; : > ${end}.2) & ${wait}`], 100);
    expect(outcome(given, "sh")).toEqual({ ok: false, said: "it did not end within 0.1 s" });
  } finally {
    writeFileSync(end, "");
    await run("sh", ["-c", `while [ ! -e ${end}.2 ]; do sleep 0.1; done`]);
    rmSync(directory, { recursive: true });
  }
});
