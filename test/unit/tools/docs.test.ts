import { expect, test } from "@jest/globals";
import { type CommandDefinition, commands, shownOptions } from "../../../client/run/options/definitions.ts";
import { parseConfig } from "../../../daemon/config.ts";
import { defineFlags } from "../../../daemon/flags.ts";
import { bashCompletion, fishCompletion, zshCompletion } from "../../../tools/docs/completions.ts";
import { commentedConfig, configKeys } from "../../../tools/docs/config-keys.ts";
import { configPage, isolatedPage, isolatePage } from "../../../tools/docs/manual.ts";
import { escaped, literal, paragraph } from "../../../tools/docs/roff.ts";

const release = { version: "1.2.3", date: "2026-01-02" };
const all: readonly CommandDefinition[] = commands;

test("the packaged configuration says what holds anyway", () => {
  expect(parseConfig(commentedConfig(), "f")).toEqual(parseConfig("", "f"));
});

test("with every key uncommented it is valid, and says the same but for its example of a template", () => {
  const text = commentedConfig().replace(/^#(?=\[|[a-z_]+ = )/gm, "");
  const { template, ...rest } = parseConfig(text, "f");
  const { template: none, ...defaults } = parseConfig("", "f");
  expect(rest).toEqual(defaults);
  expect(none).toEqual([]);
  expect(template).toMatchObject([{ name: "rpool/isolate/debian" }]);
});

test("isolate(1) has every option and every command", () => {
  const page = isolatePage(release);
  for (const { long } of [...shownOptions, ...all.flatMap((command) => command.options)]) {
    expect(page).toContain(escaped(`--${long}`));
  }
  for (const { words } of all) expect(page).toContain(words.join(" "));
  expect(page).toMatch(/^\.TH ISOLATE 1 2026-01-02 "isolate 1\.2\.3"\n/);
});

test("isolated(8) has every option, and isolated.toml(5) every key", () => {
  for (const { long } of defineFlags().options)
    expect(isolatedPage(defineFlags(), release)).toContain(escaped(long ?? ""));
  for (const { name } of configKeys()) expect(configPage(release)).toContain(`\\fB${name}\\fR`);
});

test("completions have every option and every word", () => {
  for (const text of [bashCompletion(), zshCompletion(), fishCompletion()]) {
    for (const { long } of [...shownOptions, ...all.flatMap((command) => command.options)])
      expect(text).toContain(long);
    for (const word of all.flatMap(({ words }) => words)) if (word) expect(text).toContain(word);
  }
});

test("text that means something to the formatter is text", () => {
  expect(paragraph(".x \\n -y")).toBe("\\&.x \\en \\-y");
  expect(literal("a\n.b\n'c")).toBe(".nf\na\n\\&.b\n\\&'c\n.fi");
  expect(
    Math.max(
      ...paragraph("word ".repeat(100))
        .split("\n")
        .map((line) => line.length),
    ),
  ).toBeLessThan(80);
});
