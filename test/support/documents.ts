/** The code blocks of the documentation, and where their lines run. CONTRIBUTING.md explains the marks. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "./project.ts";

export const places = [
  "here",
  "network",
  "zfs",
  "installed",
  "checkout",
  "desktop",
  "limits",
  "lxc",
  "podman",
] as const;
export type Place = (typeof places)[number];

export interface Line {
  readonly text: string;
  readonly place: Place;
  readonly fails: boolean;
  /** Whether it runs until somebody ends it. */
  readonly stays: boolean;
  /** The output that a block of the kind `console` shows after it. */
  readonly output: string | undefined;
}

export interface Block {
  /** `README.md:31` */
  readonly at: string;
  readonly lines: readonly Line[];
}

/** Fenced blocks of these kinds contain no commands. */
const withoutCommands = ["text", "toml", "yaml"];

export const documents: readonly string[] = [
  "README.md",
  ...readdirSync(join(projectRoot, "docs"))
    .filter((name) => name.endsWith(".md"))
    .sort()
    .map((name) => `docs/${name}`),
];

export const documentText = (file: string): string => readFileSync(join(projectRoot, file), "utf8");

export interface Fence {
  readonly at: string;
  readonly kind: string;
  /** The line before it. */
  readonly mark: string;
  readonly content: readonly string[];
}

/** Returns every fenced block of a file. Blocks in a list are indented. */
export function fencesOf(file: string): Fence[] {
  const lines = documentText(file).split("\n");
  const fences: Fence[] = [];
  for (let index = 0; index < lines.length; index++) {
    const [, indent = "", kind = ""] = /^( *)```(\w*)$/.exec(lines[index] ?? "") ?? [];
    if (!/^ *```/.test(lines[index] ?? "")) continue;
    const end = lines.indexOf(`${indent}\`\`\``, index + 1);
    const content = lines.slice(index + 1, end).map((line) => line.slice(indent.length));
    fences.push({ at: `${file}:${index + 1}`, kind, mark: (lines[index - 1] ?? "").trim(), content });
    index = end;
  }
  return fences;
}

export const blocksOf = (file: string): Block[] =>
  fencesOf(file)
    .filter(({ kind }) => !withoutCommands.includes(kind))
    .map(readBlock);

/** Returns every block with a line that runs in that place, for `test.each`. */
export const blocksIn = (place: Place): (readonly [at: string, block: Block])[] =>
  documents
    .flatMap(blocksOf)
    .filter(({ lines }) => lines.some((line) => line.place === place))
    .map((block) => [block.at, block]);

/** Throws if no mark says how its lines are tested. */
export function readBlock({ at, kind, mark, content }: Fence): Block {
  if (kind !== "sh" && kind !== "console")
    throw new Error(`${at}: '${kind}' is no kind of block that is tested: sh, console, ${withoutCommands.join(", ")}`);
  const text = /^<!-- run: (.*) -->$/.exec(mark)?.[1];
  if (text === undefined) throw new Error(`${at}: no mark says where this block runs; see CONTRIBUTING.md`);
  const commands = kind === "sh" ? scriptLines(content) : consoleLines(content, at);
  const { placeOf, fails, stays } = readMark(text, commands.length, at);
  const lines = commands.map((one, index) => ({
    ...one,
    place: placeOf(index + 1),
    fails: fails.has(index + 1),
    stays: stays.has(index + 1),
  }));
  return { at, lines };
}

type Written = Pick<Line, "text" | "output">;

/** Joins continued lines, and drops comments and empty lines. */
function scriptLines(content: readonly string[]): Written[] {
  return content
    .join("\n")
    .replace(/\\\n */g, "")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .map((line) => ({ text: line, output: undefined }));
}

function consoleLines(content: readonly string[], at: string): Written[] {
  const lines: { text: string; output: string }[] = [];
  for (const line of content) {
    const last = lines.at(-1);
    if (line.startsWith("$ ")) lines.push({ text: line.slice(2), output: "" });
    else if (last) last.output += `${line}\n`;
    else throw new Error(`${at}: output before the first command`);
  }
  return lines;
}

/** `here; 1-2: network; fails: 3; stays: 4` */
function readMark(text: string, count: number, at: string) {
  const [usual = "", ...others] = text.split(/; */);
  const exceptions = new Map<number, Place>();
  const fails = new Set<number>();
  const stays = new Set<number>();
  for (const other of others) {
    const [key = "", value = ""] = other.split(/: */);
    const numbers = key === "fails" || key === "stays" ? value : key;
    for (const part of numbers.split(", ")) {
      const [first = Number.NaN, last = first] = part.split("-").map(Number);
      if (!(first >= 1 && last >= first && last <= count)) throw new Error(`${at}: there is no line ${part}`);
      for (let line = first; line <= last; line++) {
        if (key === "fails") fails.add(line);
        else if (key === "stays") stays.add(line);
        else exceptions.set(line, readPlace(value, at));
      }
    }
  }
  const place = readPlace(usual, at);
  return { placeOf: (line: number): Place => exceptions.get(line) ?? place, fails, stays };
}

function readPlace(word: string, at: string): Place {
  const place = places.find((one) => one === word);
  if (place === undefined) throw new Error(`${at}: '${word}' is no place; there is ${places.join(", ")}`);
  return place;
}

/** `...` matches anything; as a whole line, any lines. */
export function matchesOutput(expected: string, output: string): boolean {
  const pattern = expected
    .split("\n")
    .map((line) =>
      line === "..."
        ? "(?:.*\n)*?"
        : `${line
            .split("...")
            .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&").replace(/ +/g, " +"))
            .join(".*")}\n`,
    )
    .join("")
    .replace(/\n$/, "");
  return new RegExp(`^${pattern}$`).test(output);
}
