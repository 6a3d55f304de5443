/** README and docs: every command line says where it runs, and isolate accepts it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { helpOn, topics } from "../../../client/full/help/topics.ts";
import { readIntent } from "../../../client/run/options/options.ts";
import { parseConfig } from "../../../daemon/config.ts";
import { defineFlags } from "../../../daemon/flags.ts";
import { errorsPage } from "../../../tools/docs/errors.ts";
import { type Command, commandsOf } from "../../support/command-lines.ts";
import {
  blocksOf,
  documents,
  documentText,
  type Fence,
  fencesOf,
  matchesOutput,
  readBlock,
} from "../../support/documents.ts";
import { projectRoot } from "../../support/project.ts";

/** Shell words and programs of others that the documentation uses, none of which is looked into. */
const others =
  /^(apt|cat|curl|do|done|echo|env|groupadd|loginctl|node|podman|sleep|systemctl|systemd-escape|tar|timeout|until|usermod|zfs|grep|\/usr\/lib\/isolate\/isolate-seccomp)$/;

/** Throws if its program does not accept the command line. */
function check({ program, words }: Command): void {
  if (program === "isolate") {
    const intent = readIntent(words, {});
    if (intent.kind === "help") helpOn(intent.topic, 80);
    return;
  }
  if (program === "isolated" || program === "dist/bin/isolated") {
    defineFlags()
      .exitOverride()
      .parse(["node", program, ...words]);
    return;
  }
  if (program === "npm") {
    const { scripts } = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as { scripts: object };
    const known = words[0] === "run" ? Object.keys(scripts) : ["test", "pack", "install"];
    expect(known).toContain(words[0] === "run" ? words[1] : words[0]);
    return;
  }
  // `sudo env NAME=VALUE isolate ...`
  if (program === "env") {
    check({ program: words[1] ?? "", words: words.slice(2), asRoot: false, variables: [] });
    return;
  }
  if (program !== "") expect(program).toMatch(others);
}

describe.each(documents)("%s", (file) => {
  test("each block says where its lines run, and isolate accepts its lines", () => {
    for (const { at, lines } of blocksOf(file))
      for (const { text } of lines)
        for (const command of commandsOf(text)) {
          try {
            check(command);
          } catch (error) {
            throw new Error(`${at}: ${text}: ${error}`);
          }
        }
  });

  test("the commands in sentences and workflows exist", () => {
    const prose = documentText(file).replace(/^( *)```[\s\S]*?^\1```$/gm, "");
    const spans = [...prose.matchAll(/`(?:sudo )?((?:isolated?|npm run) [^`]*)`/g)].map(([, text = ""]) => text);
    const workflows = fencesOf(file)
      .filter(({ kind }) => kind === "yaml")
      .flatMap(({ content }) => content.flatMap((line) => /(?:- |run: )(isolate .*)$/.exec(line)?.[1] ?? []));
    for (const text of [...spans, ...workflows]) for (const command of commandsOf(text)) check(command);
  });

  test("configuration in it is valid", () => {
    for (const { kind, content, at } of fencesOf(file))
      if (kind === "toml") expect(parseConfig(content.join("\n"), at)).toBeDefined();
  });

  test("every block is fenced, not indented, and every link has a target", () => {
    const text = documentText(file).replace(/^( *)```[\s\S]*?^\1```$/gm, "");
    expect(text.match(/^ {4,}\S.*$/gm) ?? []).toEqual([]);
    for (const [, target = ""] of text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g))
      expect(() => readFileSync(join(projectRoot, file, "..", target))).not.toThrow();
  });
});

test("README is a page, and names every other page", () => {
  const text = documentText("README.md");
  expect(text.split("\n").length).toBeLessThanOrEqual(110);
  for (const file of documents) if (file !== "README.md") expect(text).toContain(`(${file})`);
});

test("docs/errors.md is the table of errors: npm run docs", () => {
  expect(documentText("docs/errors.md")).toBe(errorsPage());
  expect(errorsPage()).not.toMatch(/undefined|NaN|\[object/);
});

test("every page of the manual that the documentation names is there", () => {
  const named = documents.flatMap((file) => [...documentText(file).matchAll(/isolate-(\w+)\([17]\)/g)]);
  expect(named.length).toBeGreaterThan(2);
  for (const [, topic] of named) expect(topics).toContain(topic);
});

describe("the requirements for a block", () => {
  const fence = (mark: string, content: string, kind = "sh"): Fence => ({
    at: "f",
    kind,
    mark,
    content: content.split("\n"),
  });

  test("a mark, a known place, a known kind, and lines that are there", () => {
    expect(() => readBlock(fence("", "ls"))).toThrow("no mark");
    expect(() => readBlock(fence("<!-- run: nowhere -->", "ls"))).toThrow("'nowhere' is no place");
    expect(() => readBlock(fence("<!-- run: here -->", "ls", "shell"))).toThrow("no kind");
    expect(() => readBlock(fence("<!-- run: here; 2: zfs -->", "ls"))).toThrow("there is no line 2");
    expect(() => readBlock(fence("<!-- run: here; fails: 0 -->", "ls"))).toThrow("there is no line 0");
  });

  test("places and failures by line", () => {
    const { lines } = readBlock(fence("<!-- run: here; 1-2: zfs; fails: 3 -->", "# not a line\na\n\nb \\\n  c\nd"));
    expect(lines.map(({ text, place, fails }) => [text, place, fails])).toEqual([
      ["a", "zfs", false],
      ["b c", "zfs", false],
      ["d", "here", true],
    ]);
  });

  test("commands and their output in a console", () => {
    const { lines } = readBlock(fence("<!-- run: here -->", "$ a\nx\n...\n$ b", "console"));
    expect(lines.map(({ text, output }) => [text, output])).toEqual([
      ["a", "x\n...\n"],
      ["b", ""],
    ]);
  });
});

test("output: '...' is anything, within a line or as lines", () => {
  expect(matchesOutput("a ... c\n...\nz\n", "a b c\n1\n2\nz\n")).toBe(true);
  expect(matchesOutput("a\n...\n", "a\n")).toBe(true);
  expect(matchesOutput("a.c\n", "abc\n")).toBe(false);
  expect(matchesOutput("a\n", "a\nb\n")).toBe(false);
  expect(matchesOutput("", "x\n")).toBe(false);
});

test("commands of a line", () => {
  expect(commandsOf(`A='b c' isolate -z t sh -c "x | y" >f | sudo cat && (z); w # no`)).toEqual([
    { asRoot: false, variables: ["A=b c"], program: "isolate", words: ["-z", "t", "sh", "-c", "x | y"] },
    { asRoot: true, variables: [], program: "cat", words: [] },
    { asRoot: false, variables: [], program: "(z)", words: [] },
    { asRoot: false, variables: [], program: "w", words: [] },
  ]);
});
