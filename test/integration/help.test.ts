/** The real program's help: its streams, its exit codes, and the width of a real terminal. */
import { describe, expect, test } from "@jest/globals";
import { run } from "../support/process.ts";
import { program } from "../support/project.ts";

const isolate = (...words: string[]) => run([program("isolate"), ...words]);
const widest = (text: string): number => Math.max(...text.split(/\r?\n/).map((line) => line.length));

/** Runs on a terminal of that many columns, made by script(1). */
async function onTerminal(columns: number, words: string): Promise<string> {
  const line = `stty cols ${columns}; exec ${program("isolate")} ${words}`;
  return (await run(["script", "-qec", line, "/dev/null"], { env: { TERM: "xterm" } })).stdout;
}

test.each([["--help"], ["-h"], ["help"]])("isolate %s prints one screen on standard output", async (word) => {
  const { code, stdout, stderr } = await isolate(word);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout.trimEnd().split("\n").length).toBeLessThanOrEqual(30);
  expect(widest(stdout)).toBeLessThanOrEqual(80);
});

test("without arguments, prints the same and exits with isolate's error code", async () => {
  const { code, stdout, stderr } = await isolate();
  expect({ code, stdout }).toEqual({ code: 125, stdout: "" });
  expect(stderr).toBe((await isolate("--help")).stdout);
});

test.each([["-V"], ["--version"], ["version"]])("isolate %s", async (word) => {
  expect(await isolate(word)).toEqual({
    code: 0,
    stdout: expect.stringMatching(/^isolate \d+\.\d+\.\d+\n$/),
    stderr: "",
  });
});

test("each way to request a command's help prints it", async () => {
  const asked = await isolate("help", "template", "create");
  expect(asked).toMatchObject({ code: 0, stdout: expect.stringMatching(/^isolate template create: [\s\S]*--debian/) });
  expect(asked.stdout).not.toContain("--refill");
  for (const words of [
    ["template", "create", "--help"],
    ["template", "create", "-h"],
    ["--help", "template", "create"],
  ])
    expect(await isolate(...words)).toEqual(asked);
});

describe("uses the width of the terminal", () => {
  test.each([50, 72, 132])("%d columns", async (columns) => {
    const [shown = ""] = (await onTerminal(columns, "help log")).split(/\r?\n\r?\nExamples:/);
    expect(widest(shown)).toBeLessThanOrEqual(columns);
    expect(widest(shown)).toBeGreaterThan(columns - 20);
  });

  test("80 columns into a pipe", async () => {
    const { stdout } = await isolate("help", "run");
    expect(widest(stdout)).toBeLessThanOrEqual(80);
    expect(widest(stdout)).toBeGreaterThan(70);
  });
});

test("suggests the command for a misspelled one", async () => {
  expect(await isolate("pools")).toMatchObject({
    code: 125,
    stdout: "",
    stderr: expect.stringContaining("unknown command 'pools'; did you mean 'pool'?"),
  });
});
