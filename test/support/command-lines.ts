/** Parses shell command lines as far as the documentation uses them: words, quotes, pipes and lists. Pure. */

export interface Command {
  /** Run as root: written after `sudo`. */
  readonly asRoot: boolean;
  /** `NAME=VALUE` in front of it. */
  readonly variables: readonly string[];
  readonly program: string;
  readonly words: readonly string[];
}

/** Returns the commands of one line. Text in single or double quotes belongs to a word, including expansions. */
export function commandsOf(line: string): Command[] {
  return lists(line)
    .filter((words) => words.length > 0)
    .map((words) => {
      const [first, ...others] = words;
      const asRoot = first === "sudo";
      const rest = asRoot ? others : words;
      const start = rest.findIndex((word) => !/^[A-Za-z_]\w*=/.test(word));
      const from = start < 0 ? rest.length : start;
      return { asRoot, variables: rest.slice(0, from), program: rest[from] ?? "", words: rest.slice(from + 1) };
    });
}

/** Returns the words of each command, without redirections. */
function lists(line: string): string[][] {
  const all: string[][] = [[]];
  let word: string | undefined;
  const end = (): void => {
    if (word !== undefined) all.at(-1)?.push(word);
    word = undefined;
  };
  for (let index = 0; index < line.length; index++) {
    const character = line[index] ?? "";
    if (character === "'" || character === '"') {
      const close = line.indexOf(character, index + 1);
      if (close < 0) throw new Error(`a quote is open in: ${line}`);
      word = (word ?? "") + line.slice(index + 1, close);
      index = close;
    } else if (character === "\\") {
      const next = line[++index] ?? "";
      if (next !== "\n") word = (word ?? "") + next;
    } else if (character === "#" && word === undefined) {
      const newline = line.indexOf("\n", index);
      index = newline < 0 ? line.length : newline - 1;
    } else if (/[|&;\n]/.test(character)) {
      end();
      all.push([]);
    } else if (character === ">" || character === "<") {
      end();
      index += /^[<>]*\s*[^\s|&;]*/.exec(line.slice(index))?.[0].length ?? 1;
      index--;
    } else if (/\s/.test(character)) {
      end();
    } else {
      word = (word ?? "") + character;
    }
  }
  end();
  return all;
}
