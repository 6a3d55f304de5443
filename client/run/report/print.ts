/** Prints the client's output: sentences on stderr, results on stdout. Synchronous, and without the runtime's streams,
 * which would make the descriptors that a sandbox inherits non-blocking. */

export type Level = "error" | "warn" | "info" | "trace";
export type Verbosity = "quiet" | "normal" | "trace";

export interface Output {
  write(descriptor: 1 | 2, text: string): void;
  isTerminal(descriptor: 1 | 2): boolean;
  /** The environment, for NO_COLOR. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface Print {
  error(sentence: string, hint?: string): void;
  warn(sentence: string, hint?: string): void;
  info(sentence: string): void;
  trace(sentence: () => string): void;
  /** Prints a result unchanged. */
  out(text: string): void;
  json(value: unknown): void;
  table(heads: readonly string[], rows: readonly (readonly (string | number | null)[])[]): void;
  /** Returns the same printer with another verbosity. */
  as(verbosity: Verbosity): Print;
}

const shown: Readonly<Record<Verbosity, readonly Level[]>> = {
  quiet: ["error", "warn"],
  normal: ["error", "warn", "info"],
  trace: ["error", "warn", "info", "trace"],
};
const colours: Readonly<Record<Level, string>> = { error: "31", warn: "33", info: "36", trace: "2" };

export function createPrint(output: Output, verbosity: Verbosity = "normal"): Print {
  function say(level: Level, sentence: string, hint = ""): void {
    if (!shown[verbosity].includes(level)) return;
    const coloured = !output.environment.NO_COLOR && output.isTerminal(2);
    const paint = (code: string, text: string): string => (coloured ? `\x1b[${code}m${text}\x1b[0m` : text);
    const lines = [`${paint(colours[level], "isolate:")} ${harmless(sentence)}`];
    if (hint !== "") lines.push(paint("2", `  ${harmless(hint)}`));
    output.write(2, `${lines.join("\n")}\n`);
  }

  return {
    error: (sentence, hint) => say("error", sentence, hint),
    warn: (sentence, hint) => say("warn", sentence, hint),
    info: (sentence) => say("info", sentence),
    trace: (sentence) => {
      if (verbosity === "trace") say("trace", sentence());
    },
    out: (text) => output.write(1, text),
    json: (value) => output.write(1, `${harmlessJson(JSON.stringify(value, null, 2))}\n`),
    table: (heads, rows) => output.write(1, table(heads, rows)),
    as: (other) => createPrint(output, other),
  };
}

/** Names and command lines of other users must not control the reader's terminal. */
export function harmless(text: string): string {
  return text.replace(/\n\s*/g, " ").replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "?");
}

/** JSON escapes only some of the characters that control a terminal. Every character can be written as code units. */
function harmlessJson(text: string): string {
  const escaped = (character: string): string =>
    character
      .split("")
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
      .join("");
  return text.replace(/(?!\n)[\p{Cc}\p{Cf}\u2028\u2029]/gu, escaped);
}

/** A longer cell does not widen its column, unless most of the others are longer too. */
const wide = 40;

/** A cell that is much longer than the others shifts only the rest of its own row. */
function columnWidth(lengths: readonly number[]): number {
  const median = [...lengths].sort((a, b) => a - b)[Math.floor(lengths.length / 2)] ?? 0;
  return Math.max(...lengths.filter((length) => length <= Math.max(wide, median)));
}

function table(heads: readonly string[], rows: readonly (readonly (string | number | null)[])[]): string {
  const cells = [heads, ...rows].map((row) => row.map((cell) => (cell === null ? "-" : harmless(String(cell)))));
  const isNumber = heads.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === "number"));
  const widths = heads.map((_, column) => columnWidth(cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (isNumber[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd();
  return `${cells.map(line).join("\n")}\n`;
}
