/** What somebody may have meant by a word that is no verb. Pure. */
import { editDistance } from "../../../protocol/names.ts";
import { verbs } from "./verbs.ts";

/** `rm` may be `template rm`; `pools` may be `pool`. Programs have short names: those of two letters are nobody's mistake. */
export function nearVerbs(word: string): string[] {
  if (!/^[a-z]+$/.test(word)) return [];
  const names = verbs.map(({ words }) => words.join(" "));
  const secondWords = names.filter((name) => name.endsWith(` ${word}`));
  if (secondWords.length > 0) return secondWords;
  const most = Math.floor(word.length / 3);
  const firstWords = [...new Set<string>(verbs.map(({ words }) => words[0]))];
  return firstWords.filter((first) => editDistance(word, first) <= most);
}
