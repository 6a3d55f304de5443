/**
 * Words to values by the POSIX rules (getopt(3) with `+`): options end at the first other word or at `--`, letters may be
 * clustered (`-nq`), a value may follow its letter at once (`-zT`) or a long name after `=`. One option takes two words;
 * the value of some is never a word of its own (`--x11=untrusted`), and a letter may stand for one value (`-n`).
 * A table and these lines, since a library costs 2.4 ms of the 8 that a whole run takes.
 */
import { IsolateError } from "../../../protocol/errors.ts";

export interface OptionDefinition {
  readonly short?: string;
  readonly long: string;
  /**
   * What its values are called in the help; none for a switch. One in brackets may be left out at the end, and `[=VALUE]`
   * is given after `=` or not at all: its letter takes none.
   */
  readonly values: readonly string[];
  /** The value that the letter stands for: it takes none then. */
  readonly letterMeans?: string;
  readonly repeatable?: true;
  /** A line of the help. */
  readonly about: string;
  /** Whole sentences that a reader may need besides. */
  readonly detail?: string;
}

export interface Parsed {
  has(long: string): boolean;
  /** The first value. */
  value(long: string): string | undefined;
  /** All values: of a repeatable option, or of one that takes two words. */
  values(long: string): readonly string[];
  /** As they were written, for messages. */
  readonly given: readonly OptionDefinition[];
  readonly operands: readonly string[];
}

/** Throws `usage`. */
export function parseArguments(definitions: readonly OptionDefinition[], words: readonly string[]): Parsed {
  const found = new Map<string, string[]>();
  const given: OptionDefinition[] = [];
  let next = 0; // of the words

  function take(option: OptionDefinition, spelled: string, attached: string | undefined): void {
    const values = attached === undefined ? [] : [attached];
    for (const wanted of wordValues(option).slice(values.length)) {
      // A negative number is a mistake in the value, and no option.
      if (wanted.startsWith("[") && (words[next] === undefined || /^-[^0-9]/.test(words[next] ?? ""))) break;
      const word = words[next++];
      if (word === undefined) throw usage(`${spelled} needs ${option.values.join(" and ")}`);
      values.push(word);
    }
    if (found.has(option.long) && option.values.length > 0 && !option.repeatable)
      throw usage(`${spelled} is given twice`);
    const before = found.get(option.long);
    if (before) before.push(...values);
    else found.set(option.long, values);
    given.push(option);
  }

  function takeLong(word: string): void {
    const equals = word.indexOf("=");
    const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
    const option = definitions.find(({ long }) => long === name);
    if (!option) throw usage(`unknown option --${name}`);
    if (equals >= 0 && option.values.length === 0) throw usage(`--${name} takes no value`);
    take(option, `--${name}`, equals < 0 ? undefined : word.slice(equals + 1));
  }

  function takeCluster(word: string): void {
    for (let index = 1; index < word.length; index++) {
      const letter = word[index];
      const option = definitions.find(({ short }) => short === letter);
      if (!option) throw usage(`unknown option -${letter}`);
      const attached = word.slice(index + 1);
      const takesRest = wordValues(option).length > 0 && option.letterMeans === undefined;
      take(option, `-${letter}`, takesRest && attached !== "" ? attached : option.letterMeans);
      if (takesRest) return;
    }
  }

  for (let word = words[next]; word !== undefined; word = words[next]) {
    if (word === "-" || !word.startsWith("-")) break;
    next++;
    if (word === "--") break;
    if (word.startsWith("--")) takeLong(word);
    else takeCluster(word);
  }

  return {
    has: (long) => found.has(long),
    value: (long) => found.get(long)?.[0],
    values: (long) => found.get(long) ?? [],
    given,
    operands: words.slice(next),
  };
}

/** Those values that may be words of their own. */
export function wordValues({ values }: OptionDefinition): readonly string[] {
  return values.filter((value) => !value.startsWith("[="));
}

/** `--wait SECONDS`, `--x11[=WHICH]`. */
export function longForm({ long, values }: OptionDefinition): string {
  return `--${[long, ...values].join(" ").replaceAll(" [=", "[=")}`;
}

/** As a person would write it: `-z`, or `--wait` where there is no letter. */
export function spelling({ short, long }: OptionDefinition): string {
  return short === undefined ? `--${long}` : `-${short}`;
}

export function usage(wrong: string): IsolateError<"usage"> {
  return new IsolateError("usage", { wrong });
}
