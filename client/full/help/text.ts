/** Pages as text for a terminal of some width. Pure. */
import type { Block, Page, Row, Section } from "./page.ts";

/** A term that is longer has a line of its own. */
const longestTerm = (width: number): number => Math.min(44, Math.floor(width * 0.36));
/** Columns that text needs beside a term; in less it begins below it. */
const leastBeside = 36;
/** Narrower terminals wrap by themselves. */
const narrowest = 20;

export function pageText({ name, about, usage, sections, section }: Page, width: number): string {
  const shown = sections.filter(({ manualOnly }) => manualOnly === undefined);
  const more = shown.length < sections.length ? [`More: man ${section} ${name}\n`] : [];
  return [
    wrap(`${name.replaceAll("-", " ")}: ${about}`, width)
      .join("\n")
      .concat("\n"),
    ...(usage.length > 0 ? [usageText(usage, width)] : []),
    ...shown.map((one) => sectionText(one, width)),
    ...more,
  ].join("\n");
}

export function usageText(usage: readonly string[], width: number): string {
  const lines = usage.flatMap((line) => {
    const [first = "", ...others] = wrap(line, width - 7);
    return [first, ...others.map((other) => `    ${other}`)];
  });
  return `${lines.map((line, index) => `${index === 0 ? "usage: " : "       "}${line}`).join("\n")}\n`;
}

export function sectionText({ title, blocks }: Section, width: number): string {
  return `${title}:\n${blocks.map((block) => blockText(block, width)).join("\n")}`;
}

function blockText(block: Block, width: number): string {
  if (block.kind === "rows") return rowsText(block.rows, width);
  const lines = block.kind === "text" ? wrap(block.text, width - 2) : block.text.split("\n");
  return lines.map((line) => `  ${line}`.trimEnd().concat("\n")).join("");
}

function rowsText(rows: readonly Row[], width: number): string {
  const fitting = Math.max(...rows.map(([term]) => term.length).filter((length) => length <= longestTerm(width)), 0);
  const widest = width - fitting - 4 < leastBeside ? 0 : fitting;
  const indent = " ".repeat(widest === 0 ? 6 : widest + 4);
  return rows
    .map(([term, about]) => {
      const [first = "", ...others] = wrap(about, width - indent.length);
      const start =
        term.length > widest ? `  ${term}\n${indent}${first}` : `  ${term.padEnd(widest)}  ${first}`.trimEnd();
      return [start, ...others.map((line) => `${indent}${line}`)].join("\n").concat("\n");
    })
    .join("");
}

/** Lines of at most so many characters, as far as there are words that are short enough. */
export function wrap(words: string, width: number): string[] {
  const widest = Math.max(width, narrowest);
  const lines: string[] = [];
  for (const word of words.trim().split(/\s+/)) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > widest) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
