/** Generates docs/errors.md: every error of the table, with placeholders in capitals. Pure. */
import { type ErrorDetails, errorCodes, IsolateError } from "../../protocol/errors.ts";

/** Details whose values are lists; the page shows the hint of an empty `near`. */
const lists: Readonly<Record<string, readonly string[]>> = { near: [], several: ["SEVERAL"] };
/** Details that only some errors have. */
const seldom = new Set(["exists"]);

export function errorsPage(): string {
  const rows = errorCodes.map((code) => {
    const error = new IsolateError(code, placeholders() as ErrorDetails<typeof code>);
    return [`\`${code}\``, cell(error.message), cell(error.hint)];
  });
  return `# Errors

Every error is one sentence that begins with "cannot". A second line usually gives the next step. The exit code is 125. In the
answers of the daemon's API, \`code\` names the error. Words in capitals are placeholders for values.

This page is generated from \`protocol/errors.ts\` by \`npm run docs\`.

${table([["code", "sentence", "next step"], ...rows])}
`;
}

/** Returns a table in the format of the project's formatter: columns of equal width. */
function table(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows;
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.slice(1).map(line)].join("\n");
}

/** Returns each detail as its name in capitals. */
function placeholders(): unknown {
  const read = (_: unknown, name: string | symbol): unknown => {
    const word = String(name).toUpperCase();
    if (seldom.has(String(name))) return undefined;
    return lists[String(name)] ?? word;
  };
  return new Proxy({}, { get: read });
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
