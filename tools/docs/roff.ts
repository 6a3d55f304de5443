/** Formats text for man(7). Pure. */

/** Escapes backslashes and hyphens within a line. */
export function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}

/** Running text, which the formatter wraps. */
export function paragraph(text: string): string {
  const lines: string[] = [];
  for (const word of escaped(text).trim().split(/\s+/)) {
    const line = lines.at(-1);
    if (line === undefined || line.length + word.length >= widest) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines.map(asText).join("\n");
}

/** Lines that are printed as they are. */
export function literal(text: string): string {
  return `.nf\n${escaped(text.trim()).split("\n").map(asText).join("\n")}\n.fi`;
}

/** Escapes a line of the source. */
const widest = 79;
/** A line that would begin with a macro or a control character. */
const asText = (line: string): string => line.replace(/^[.']/, "\\&$&");

/** An entry: the words to type in bold, and their meaning. */
export function entry(term: string, about: string): string {
  return `.TP\n\\fB${escaped(term.trim())}\\fR\n${paragraph(about)}`;
}

export const heading = (title: string): string => `.SH ${escaped(title.toUpperCase())}`;

export interface Page {
  readonly name: string;
  readonly section: number;
  readonly about: string;
  /** The formatted parts. */
  readonly body: readonly string[];
  readonly seeAlso: readonly string[];
}

export interface Release {
  readonly version: string;
  /** yyyy-mm-dd */
  readonly date: string;
}

export function page({ name, section, about, body, seeAlso }: Page, { version, date }: Release): string {
  const title = `.TH ${escaped(name.toUpperCase())} ${section} ${date} "isolate ${version}"`;
  return `${[
    title,
    heading("Name"),
    `${escaped(name)} \\- ${escaped(about)}`,
    ...body,
    heading("See also"),
    seeAlso.map((other) => `.BR ${escaped(other).replace("(", " (")}`).join(" ,\n"),
  ].join("\n")}\n`;
}
