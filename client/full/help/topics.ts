/** `isolate help`: which page, as text. Pure. */
import type { IsolateError } from "../../../protocol/errors.ts";
import { editDistance } from "../../../protocol/names.ts";
import { usage } from "../../run/options/arguments.ts";
import { type VerbDefinition, verbs } from "../../run/options/verbs.ts";
import type { Page } from "./page.ts";
import { pages, verbPage } from "./pages.ts";
import { shortHelp } from "./short.ts";
import { pageText } from "./text.ts";

const all: readonly VerbDefinition[] = verbs;

/** The words of `isolate help` for each: the pages' first, then verbs without a page of their own. */
export const topics: readonly string[] = [
  ...pages.flatMap(({ name }) => (name === "isolate" ? [] : [name.replace("isolate-", "")])),
  ...all.map(({ words }) => words.join(" ")).filter((name) => !pages.some((page) => page.name === `isolate-${name}`)),
];

/** Throws `usage` for a topic that there is not. `width`: columns. */
export function helpOn(topic: readonly string[], width: number): string {
  return topic.length === 0 ? shortHelp() : pageText(findPage(topic.join(" ")), width);
}

function findPage(topic: string): Page {
  const page = pages.find(({ name }) => name === `isolate-${topic}`);
  if (page) return page;
  const verb = all.find(({ words }) => words.join(" ") === topic);
  if (verb) return verbPage(verb);
  throw unknown(topic);
}

function unknown(topic: string): IsolateError {
  const near = topics.filter((one) => editDistance(topic, one) <= Math.floor(topic.length / 3));
  return near.length > 0
    ? usage(`there is no help on '${topic}'; did you mean '${near.join("' or '")}'?`)
    : usage(`there is no help on '${topic}'; topics are ${topics.join(", ")}`);
}
