import { describe, expect, test } from "@jest/globals";
import * as examples from "../../../../client/full/help/examples.ts";
import { helpOn, topics } from "../../../../client/full/help/topics.ts";
import { readIntent } from "../../../../client/run/options/options.ts";
import { type VerbDefinition, verbs } from "../../../../client/run/options/verbs.ts";
import { commandsOf } from "../../../support/command-lines.ts";

const widest = (text: string): number => Math.max(...text.split("\n").map((line) => line.length));
const all: readonly VerbDefinition[] = verbs;

test("the short help fits on a screen, and names every verb and every way to run", () => {
  const text = helpOn([], 80);
  expect(text.trimEnd().split("\n").length).toBeLessThanOrEqual(30);
  expect(widest(text)).toBeLessThanOrEqual(80);
  for (const { words } of all) for (const word of words) expect(text).toMatch(new RegExp(`\\b${word}\\b`));
  for (const option of ["-z TEMPLATE", "-t DIR", "-r TEMPLATE", "-d HOST:CTR", "--net MODE"])
    expect(text).toContain(option);
});

describe.each(topics)("help on '%s'", (topic) => {
  const words = topic.split(" ");

  test("no line is longer than the terminal, unless it is a command to copy", () => {
    expect(widest(helpOn(words, 80))).toBeLessThanOrEqual(80);
    const [before = ""] = helpOn(words, 50).split("\n\nExamples:\n");
    expect(widest(before)).toBeLessThanOrEqual(50);
  });

  test("a wide terminal is used", () => {
    const lines = (width: number): number => helpOn(words, width).split("\n").length;
    expect(lines(200)).toBeLessThanOrEqual(lines(60));
  });
});

test("each verb's help has all its options", () => {
  for (const { words, options } of all) {
    const text = helpOn(
      words.filter((word) => word !== undefined),
      80,
    );
    for (const { long, about } of options) {
      expect(text).toContain(`--${long}`);
      expect(text.replace(/\s+/g, " ")).toContain(about);
    }
  }
});

test("a topic that there is not: the nearest, or all", () => {
  expect(() => helpOn(["enginse"], 80)).toThrow("did you mean 'engines'?");
  expect(() => helpOn(["xyz"], 80)).toThrow("topics are run, template,");
});

describe("isolate accepts the example command lines", () => {
  const lines = Object.values(examples).flatMap((group) => group.map(([command]) => command));
  test.each(lines)("%s", (line) => {
    const found = commandsOf(line).filter(({ program }) => program === "isolate");
    expect(found).toHaveLength(1);
    for (const { words } of found) expect(["run", "refill", "command"]).toContain(readIntent(words, {}).kind);
  });
});
