import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { pages } from "../../../client/full/help/pages.ts";
import {
  everywhere,
  poolOptions,
  rootOptions,
  runOptions,
  shownOptions,
} from "../../../client/run/options/definitions.ts";
import { type VerbDefinition, verbs } from "../../../client/run/options/verbs.ts";
import { parseConfig } from "../../../daemon/config.ts";
import { defineFlags } from "../../../daemon/flags.ts";
import { bashCompletion, fishCompletion, zshCompletion } from "../../../tools/docs/completions.ts";
import { commentedConfig, configKeys } from "../../../tools/docs/config-keys.ts";
import { clientPage, configPage, isolatedPage } from "../../../tools/docs/manual.ts";
import { escaped, literal, paragraph } from "../../../tools/docs/roff.ts";
import { projectRoot } from "../../support/project.ts";

const release = { version: "1.2.3", date: "2026-01-02" };
const all: readonly VerbDefinition[] = verbs;

test("the packaged configuration contains the defaults", () => {
  expect(parseConfig(commentedConfig(), "f")).toEqual(parseConfig("", "f"));
});

test("with every key uncommented it is valid, and equals the defaults except for the example of a template", () => {
  const text = commentedConfig().replace(/^#(?=\[|[a-z_]+ = )/gm, "");
  const { template, ...rest } = parseConfig(text, "f");
  const { template: none, ...defaults } = parseConfig("", "f");
  expect(rest).toEqual(defaults);
  expect(none).toEqual([]);
  expect(template).toMatchObject([{ name: "rpool/isolate/debian" }]);
});

const pageOf = (name: string): string => {
  const page = pages.find((one) => one.name === name);
  if (!page) throw new Error(`there is no page ${name}`);
  return clientPage(page, release);
};

test("the pages have every option and every verb in the expected place", () => {
  for (const { long } of rootOptions) expect(pageOf("isolate")).toContain(escaped(`--${long}`));
  for (const { long } of [...rootOptions, ...runOptions, ...everywhere])
    expect(pageOf("isolate-run")).toContain(escaped(`--${long}`));
  for (const { long } of poolOptions) expect(pageOf("isolate-pool")).toContain(escaped(`--${long}`));
  for (const { words } of all) expect(pageOf("isolate")).toContain(words.join(" "));
  for (const { words, options } of all) {
    const page = pages.some(({ name }) => name === `isolate-${words[0]}`) ? `isolate-${words[0]}` : "isolate";
    for (const { long } of options) expect(pageOf(page)).toContain(escaped(`--${long}`));
  }
  const everything = pages.map(({ name }) => pageOf(name)).join("");
  for (const { long } of shownOptions) expect(everything).toContain(escaped(`--${long}`));
  expect(pageOf("isolate")).toMatch(/^\.TH ISOLATE 1 2026-01-02 "isolate 1\.2\.3"\n/);
  expect(pageOf("isolate-hooks")).toMatch(/^\.TH ISOLATE\\-HOOKS 7 /);
});

test("package.json names every page", () => {
  const { man } = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as { man: string[] };
  const names = [...pages.map(({ name, section }) => `${name}.${section}`), "isolated.8", "isolated.toml.5"];
  expect(man).toEqual(names.map((name) => `dist/docs/${name}`));
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

test("characters that are special to the formatter are escaped", () => {
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
