/** Rows of a page out of the definitions that the parser reads. Pure. */
import { engineNames, engines, type FeatureName, features } from "../../../engines/features.ts";
import { longForm, type OptionDefinition } from "../../run/options/arguments.ts";
import type { VerbDefinition } from "../../run/options/verbs.ts";
import type { Row } from "./page.ts";

export function optionRows(options: readonly OptionDefinition[]): Row[] {
  return options.map((option) => {
    const { short, repeatable, about, detail } = option;
    const letter = short === undefined ? "    " : `-${short}, `;
    const first = repeatable ? `${about}; can be repeated` : about;
    return [`${letter}${longForm(option)}`, detail === undefined ? first : `${first}. ${detail}`];
  });
}

/** `isolate template edit [OPTION...] TEMPLATE [COMMAND...]` */
export function verbUsage({ words, operands, options }: VerbDefinition): string {
  const [only, ...more] = options;
  const written = only === undefined ? [] : more.length === 0 ? [`[--${only.long}]`] : ["[OPTION...]"];
  return ["isolate", ...words, ...written, ...operands].join(" ");
}

/** Without the word `isolate`. */
export function verbRows(verbs: readonly VerbDefinition[]): Row[] {
  return verbs.map((verb) => [verbUsage(verb).replace(/^isolate /, ""), verb.about]);
}

export function engineRows(): Row[] {
  return engineNames.map((name) => [name, `${engines[name].about}${engines[name].rootOnly ? " (root only)" : ""}`]);
}

export function featureRows(): Row[] {
  return (Object.keys(features) as FeatureName[]).map((feature) => {
    const { title, options } = features[feature];
    const able = engineNames.filter((name) => engines[name].can.includes(feature));
    return [options.length === 0 ? title : `${title} (${options.join(" ")})`, able.join(", ")];
  });
}
