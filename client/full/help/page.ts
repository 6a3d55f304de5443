/** What a page of the manual is made of, before it becomes text for a terminal or for man(7). Pure. */

export interface Page {
  /** Of the manual page: `isolate-run`. */
  readonly name: string;
  readonly section: 1 | 7;
  readonly about: string;
  /** Whole command lines; none for a page that explains something. */
  readonly usage: readonly string[];
  readonly sections: readonly Section[];
  readonly seeAlso: readonly string[];
}

export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
  /** Too long for the help: only the manual page has it. */
  readonly manualOnly?: true;
}

/** A row: what can be written, and what it does. */
export type Row = readonly [term: string, about: string];

export type Block =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "rows"; readonly rows: readonly Row[] }
  /** Lines as they are. */
  | { readonly kind: "literal"; readonly text: string };

export const text = (words: string): Block => ({ kind: "text", text: words });
export const rows = (all: readonly Row[]): Block => ({ kind: "rows", rows: all });
export const literal = (lines: string): Block => ({ kind: "literal", text: lines });
