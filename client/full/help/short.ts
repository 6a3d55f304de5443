/** `isolate --help`: what fits on one screen, out of the same definitions as everything else. Pure. */
import { longForm, type OptionDefinition } from "../../run/options/arguments.ts";
import { insideOptions, rootOptions } from "../../run/options/definitions.ts";
import { type VerbDefinition, verbs } from "../../run/options/verbs.ts";
import type { Row } from "./page.ts";
import { pages, summary } from "./pages.ts";
import { sectionText, usageText } from "./text.ts";

const width = 80;
const all: readonly VerbDefinition[] = verbs;

export function shortHelp(): string {
  const [isolate] = pages;
  const options = [...rootOptions, ...insideOptions.filter(({ short }) => short !== undefined)];
  const parts = [
    `isolate: ${summary}\n`,
    usageText(isolate?.usage ?? [], width),
    sectionText({ title: "Options of a run", blocks: [{ kind: "rows", rows: options.map(optionRow) }] }, width),
    sectionText({ title: "Verbs", blocks: [{ kind: "rows", rows: verbRows() }] }, width),
    "'isolate help run' lists all options of a run, and 'isolate help VERB' those of\na verb. 'isolate help engines' and 'isolate help hooks' explain these topics.\n",
  ];
  return parts.join("\n");
}

/** `-d HOST:CTR[:ro]`; the long form where the letter means one value. */
function optionRow(option: OptionDefinition): Row {
  const { short, values, letterMeans, about } = option;
  return [letterMeans === undefined ? [`-${short}`, ...values].join(" ") : longForm(option), about];
}

/** A line for all verbs of one word. */
function verbRows(): Row[] {
  return [...new Set(all.map(({ words }) => words[0]))].map((first) => {
    const own = all.filter(({ words }) => words[0] === first);
    const [only] = own;
    if (only && own.length === 1) return [[first, ...only.operands].join(" "), only.about];
    const about = pages.find(({ name }) => name === `isolate-${first}`)?.about ?? "";
    return [`${first} ${own.map(({ words }) => words[1]).join("|")}`, about];
  });
}
