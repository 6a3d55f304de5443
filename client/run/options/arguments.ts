/**
 * Parses words by the POSIX rules (getopt(3) with `+`): options end at the first other word or at `--`, letters may be
 * clustered (`-nq`), and a value may follow its letter directly (`-zT`) or a long name after `=`. One option takes two
 * words. Some options take a value only after `=` (`--x11=untrusted`), and a letter may stand for one value (`-n`).
 * No library, because it would cost 2.4 ms of the 8 ms that a whole run takes.
 */
import { IsolateError } from "../../../protocol/errors.ts";

export interface OptionDefinition {
  readonly short?: string;
  readonly long: string;
  /**
   * The names of its values in the help; empty for a switch. A last value in brackets is optional. `[=VALUE]` can only
   * be given after `=`: the letter takes no value.
   */
  readonly values: readonly string[];
  /** The value that the letter stands for; the letter then takes no value. */
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
  /** All values of a repeatable option, or of an option that takes two words. */
  values(long: string): readonly string[];
  /** The options in the order they were written, for messages. */
  readonly given: readonly OptionDefinition[];
  readonly operands: readonly string[];
}

/** Throws `usage`. */
export function parseArguments(definitions: readonly OptionDefinition[], words: readonly string[]): Parsed {
  const found = new Map<string, string[]>();
  const given: OptionDefinition[] = [];
  let next = 0; // index into the words

  function take(option: OptionDefinition, spelled: string, attached: string | undefined): void {
    const values = attached === undefined ? [] : [attached];
    for (const wanted of wordValues(option).slice(values.length)) {
      // A negative number is a wrong value, not an option.
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

/** Returns the values that can be separate words. */
export function wordValues({ values }: OptionDefinition): readonly string[] {
  return values.filter((value) => !value.startsWith("[="));
}

/** Returns the long form, such as `--wait SECONDS` or `--x11[=WHICH]`. */
export function longForm({ long, values }: OptionDefinition): string {
  return `--${[long, ...values].join(" ").replaceAll(" [=", "[=")}`;
}

/** Returns the usual spelling: `-z`, or `--wait` if there is no letter. */
export function spelling({ short, long }: OptionDefinition): string {
  return short === undefined ? `--${long}` : `-${short}`;
}

export function usage(wrong: string): IsolateError<"usage"> {
  return new IsolateError("usage", { wrong });
}
