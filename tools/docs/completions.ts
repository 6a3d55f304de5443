/** Generates completions for bash, zsh and fish from the parser's definitions. Pure. */
import { topics } from "../../client/full/help/topics.ts";
import { type OptionDefinition, wordValues } from "../../client/run/options/arguments.ts";
import { everywhere, shownOptions } from "../../client/run/options/definitions.ts";
import { type VerbDefinition, verbs } from "../../client/run/options/verbs.ts";
import { engineNames } from "../../engines/features.ts";
import { networks } from "../../engines/spec.ts";

const all: readonly VerbDefinition[] = verbs;
/** Commands that list names: in the first column, below the heading. */
const listings = { templates: "template ls", leases: "ps" } as const;

type Kind =
  | keyof typeof listings
  | "engines"
  | "networks"
  | "topics"
  | "directories"
  | "files"
  | "commands"
  | "nothing";

/** Returns the kind of a value from its name in the help. */
function kindOf(value: string): Kind {
  const name = value.replace(/[[\].]/g, "").replace(/:.*$/, "");
  if (name === "TEMPLATE") return "templates";
  if (name === "LEASE") return "leases";
  if (name === "ENGINE") return "engines";
  if (name === "MODE") return "networks";
  if (name === "TOPIC") return "topics";
  if (name === "DIR") return "directories";
  if (name === "FILE" || name === "PATH" || name === "HOST") return "files";
  return name === "COMMAND" ? "commands" : "nothing";
}

/** The topics of a single word. */
const topicWords = topics.filter((topic) => !topic.includes(" "));

const spellings = ({ short, long }: OptionDefinition): string[] => [...(short ? [`-${short}`] : []), `--${long}`];
/** Returns the choices after `=`: `[=this|that]`. */
const attachedChoices = ({ values }: OptionDefinition): string[] =>
  values.flatMap((value) => (value.startsWith("[=") ? value.slice(2, -1).split("|") : []));
/** Returns the spellings that are followed by a value as a separate word. */
const valueSpellings = (option: OptionDefinition): string[] =>
  wordValues(option).length === 0
    ? []
    : spellings(option).filter((spelled) => spelled.startsWith("--") || option.letterMeans === undefined);
const firstWords = [...new Set(all.map(({ words }) => words[0]))];
const secondWords = (first: string): string[] =>
  all.flatMap(({ words }) => (words[0] === first && words[1] !== undefined ? [words[1]] : []));
const optionsOf = ({ options: own }: VerbDefinition): readonly OptionDefinition[] => [...own, ...everywhere];
/** Quotes for a shell with single quotes. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const list = (listing: keyof typeof listings): string =>
  `isolate -q ${listings[listing]} 2>/dev/null | sed -n '2,$s/ .*//p'`;

// --- bash

const bashReply: Readonly<Record<Kind, string>> = {
  templates: `mapfile -t COMPREPLY < <(compgen -W "$(${list("templates")})" -- "$current")`,
  leases: `mapfile -t COMPREPLY < <(compgen -W "$(${list("leases")})" -- "$current")`,
  engines: `mapfile -t COMPREPLY < <(compgen -W "${engineNames.join(" ")}" -- "$current")`,
  networks: `mapfile -t COMPREPLY < <(compgen -W "${networks.join(" ")}" -- "$current")`,
  topics: `mapfile -t COMPREPLY < <(compgen -W "${topicWords.join(" ")}" -- "$current")`,
  directories: `compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current")`,
  files: `compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current")`,
  commands: `mapfile -t COMPREPLY < <(compgen -c -- "$current")`,
  nothing: "COMPREPLY=()",
};

/** Returns patterns of a `case` for the option whose value is being typed; `$wanted` counts the option's words. */
function bashValues(definitions: readonly OptionDefinition[]): string {
  return definitions
    .filter((option) => wordValues(option).length > 0)
    .map((option) => `${valueSpellings(option).join("|")}) ${bashReply[kindOf(option.values[0] ?? "")]}; return ;;`)
    .join("\n            ");
}

function bashCommand(command: VerbDefinition): string {
  const name = command.words.filter((word) => word !== undefined).join(" ");
  const operands = command.operands.map((operand, index) => {
    const rest = index === command.operands.length - 1 && operand.includes("...");
    return `${rest ? "*" : index}) ${bashReply[kindOf(operand)]} ;;`;
  });
  return `        ${quoted(name)})
            case "$previous" in
            ${bashValues(optionsOf(command)) || "*) ;;"}
            esac
            if [[ $current == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W "${optionsOf(command).flatMap(spellings).join(" ")}" -- "$current")
                return
            fi
            case $operands in
            ${operands.join("\n            ") || "*) ;;"}
            esac
            return ;;`;
}

/** bash splits words at `=`, so the choices after it are offered with their option. */
const bashWords = (option: OptionDefinition): string[] => [
  ...spellings(option),
  ...attachedChoices(option).map((choice) => `--${option.long}=${choice}`),
];

/** Returns the option words that take a value, so that the value is not mistaken for an operand. */
const valued = [...new Set([...shownOptions, ...all.flatMap((one) => one.options)].flatMap(valueSpellings))];

export function bashCompletion(): string {
  return `# bash completion for isolate
_isolate() {
    local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
    local index word command='' operands=0 rooted='' place=0
    COMPREPLY=()
    # The words before the cursor: options and their values, then isolate's command or a program.
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=\${COMP_WORDS[index]}
        case $word in
        ${valued.join("|")})
            case $command$word in -z | --template | -t | --directory | -r | --refill) rooted=1 ;; esac
            ((index += 1)) ;;
        -*) ;;
        *)
            if [[ -z $command && -n $rooted ]]; then
                place=$index
                break
            elif [[ -z $command ]]; then
                command=$word
            else
                case "$command $word" in
                ${all
                  .filter(({ words }) => words[1] !== undefined)
                  .map(({ words }) => `${quoted(words.join(" "))}`)
                  .join(" | ")}) command+=" $word" ;;
                *) ((operands += 1)) ;;
                esac
            fi ;;
        esac
    done
    if ((place > 0)); then
        # A program in the root: this shell's completion for the same name is better than nothing.
        declare -F _command_offset >/dev/null && _command_offset "$place"
        return
    fi
    case $command in
${all.map(bashCommand).join("\n")}
${firstWords
  .filter((first) => secondWords(first).length > 0)
  .map(
    (first) =>
      `        ${first}) mapfile -t COMPREPLY < <(compgen -W "${secondWords(first).join(" ")}" -- "$current"); return ;;`,
  )
  .join("\n")}
    '') ;;
    *) return ;;
    esac
    case "$previous" in
            ${bashValues(shownOptions)}
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${shownOptions.flatMap(bashWords).join(" ")}" -- "$current")
    elif [[ -n $rooted ]]; then
        ${bashReply.commands}
    else
        mapfile -t COMPREPLY < <(compgen -W "${firstWords.join(" ")}" -- "$current")
    fi
}
complete -F _isolate isolate
`;
}

// --- zsh

const zshAction: Readonly<Record<Kind, string>> = {
  templates: "_isolate_templates",
  leases: "_isolate_leases",
  engines: `(${engineNames.join(" ")})`,
  networks: `(${networks.join(" ")})`,
  topics: `(${topicWords.join(" ")})`,
  directories: "_directories",
  files: "_files",
  commands: "_command_names -e",
  nothing: " ",
};

/** Brackets and colons are special in a specification of `_arguments`. */
const zshText = (text: string): string => text.replace(/[[\]:\\]/g, "\\$&");

function zshOption(option: OptionDefinition): string {
  const { repeatable, about } = option;
  const names = spellings(option);
  const actions = wordValues(option)
    .map((value) => `${value.startsWith("[") ? "::" : ":"}${zshText(value)}:${zshAction[kindOf(value)]}`)
    .join("");
  const excluded = repeatable ? "*" : `(${names.join(" ")})`;
  const spec = (name: string, more: string): string => quoted(`${excluded}${name}[${zshText(about)}]${more}`);
  const taking = valueSpellings(option);
  const plain = names.map((name) => spec(name, taking.includes(name) ? actions : ""));
  const attached = attachedChoices(option);
  if (attached.length === 0) return plain.join(" ");
  return [...plain, spec(`--${option.long}=-`, `:value:(${attached.join(" ")})`)].join(" ");
}

function zshCommand(command: VerbDefinition): string {
  const operands = command.operands.map((operand, index) => {
    const optional = operand.startsWith("[") ? ":" : "";
    if (operand.includes("COMMAND")) return "'*::command:_normal'";
    if (operand.includes("...")) return quoted(`*:${zshText(operand)}:${zshAction[kindOf(operand)]}`);
    return quoted(`${index + 1}:${optional}${zshText(operand)}:${zshAction[kindOf(operand)]}`);
  });
  return `_arguments -s -S ${[...optionsOf(command).map(zshOption), ...operands].join(" \\\n                ")}`;
}

export function zshCompletion(): string {
  const described = (rows: readonly (readonly [string, string])[]): string =>
    rows.map(([name, about]) => quoted(`${name}:${about.replaceAll(":", "\\:")}`)).join(" ");
  const firsts = firstWords.map((first) => {
    const own = all.filter(({ words }) => words[0] === first);
    const [only] = own;
    return [first, own.length === 1 && only ? only.about : secondWords(first).join(", ")] as const;
  });
  const groups = firstWords.map((first) => {
    const own = all.filter(({ words }) => words[0] === first);
    const [only] = own;
    if (own.length === 1 && only && only.words[1] === undefined) {
      return `        (${first})\n            ${zshCommand(only)} ;;`;
    }
    const cases = own.map((one) => `            (${one.words[1]}) ${zshCommand(one)} ;;`);
    return `        (${first})
            if ((CURRENT == 2)); then
                local -a verbs=(${described(own.map((one) => [one.words[1] ?? "", one.about]))})
                _describe -t commands 'isolate ${first}' verbs
                return
            fi
            local verb=$words[2]
            shift words
            ((CURRENT -= 1))
            case $verb in
${cases.join("\n")}
            esac ;;`;
  });
  return `#compdef isolate

_isolate_templates() {
    local -a names=(\${(f)"$(${list("templates")})"})
    compadd -a names
}

_isolate_leases() {
    local -a names=(\${(f)"$(${list("leases")})"})
    compadd -a names
}

_isolate_word() {
    # With -z or -t the word is a program in that root.
    if ((\${+opt_args[-z]} || \${+opt_args[--template]} || \${+opt_args[-t]} || \${+opt_args[--directory]})); then
        _command_names -e
        return
    fi
    local -a firsts=(${described(firsts)})
    _describe -t commands 'isolate command' firsts
}

_isolate() {
    local curcontext=$curcontext state line
    typeset -A opt_args
    _arguments -C -s -S -A '-*' \\
        ${shownOptions.map(zshOption).join(" \\\n        ")} \\
        '1:command:_isolate_word' \\
        '*::argument:->rest'
    [[ $state == rest ]] || return
    case $words[1] in
${groups.join("\n")}
        (*) _normal ;;
    esac
}

_isolate "$@"
`;
}

// --- fish

const fishList: Readonly<Record<Kind, string | undefined>> = {
  templates: "(__isolate_list template ls)",
  leases: "(__isolate_list ps)",
  engines: engineNames.join(" "),
  networks: networks.join(" "),
  topics: topicWords.join(" "),
  directories: "(__fish_complete_directories)",
  files: undefined,
  commands: "(__fish_complete_command)",
  nothing: "",
};

function fishOption(option: OptionDefinition, condition: string): string {
  const { short, long, values, about, letterMeans } = option;
  const words = ["complete -c isolate", "-n", quoted(condition)];
  if (short !== undefined && letterMeans !== undefined) {
    const letter = [...words, "-s", short, "-d", quoted(`--${long}=${letterMeans}`)].join(" ");
    return `${letter}\n${fishOption({ long, values, about }, condition)}`;
  }
  if (short) words.push("-s", short);
  words.push("-l", long, "-d", quoted(about));
  const [value] = wordValues(option);
  if (value !== undefined) {
    const choices = fishList[kindOf(value)];
    if (choices === undefined) words.push("-r", "-F");
    else words.push("-x", ...(choices === "" ? [] : ["-a", quoted(choices)]));
  }
  const attached = attachedChoices(option);
  if (attached.length > 0) words.push("-f", "-a", quoted(attached.join(" ")));
  return words.join(" ");
}

function fishCommand(command: VerbDefinition): string[] {
  const [first, second] = command.words;
  const here = `__isolate_in ${[first, second].filter((word) => word !== undefined).join(" ")}`;
  const rows = command.options.map((option) => fishOption(option, here));
  const [operand] = command.operands;
  const choices = operand === undefined ? undefined : fishList[kindOf(operand)];
  if (choices) rows.push(`complete -c isolate -n ${quoted(here)} -f -a ${quoted(choices)}`);
  return rows;
}

export function fishCompletion(): string {
  const firsts = firstWords.map((first) => {
    const own = all.filter(({ words }) => words[0] === first);
    const about = own.length === 1 && own[0] ? own[0].about : secondWords(first).join(", ");
    return `complete -c isolate -n '__isolate_in' -a ${first} -d ${quoted(about)}`;
  });
  const seconds = all
    .filter(({ words }) => words[1] !== undefined)
    .map(({ words, about }) => `complete -c isolate -n '__isolate_in ${words[0]}' -a ${words[1]} -d ${quoted(about)}`);
  return `# fish completion for isolate
function __isolate_list
    isolate -q $argv 2>/dev/null | string replace -r ' .*' '' | tail -n +2
end

# Prints the words before the cursor, except options and their values.
function __isolate_words
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip -gt 0
            set skip 0
        else if contains -- $word ${valued.join(" ")}
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

# Succeeds if those words are exactly these, and neither -z nor -t is given.
function __isolate_in
    __isolate_rooted; and return 1
    set -l words (__isolate_words)
    test (count $argv) -le (count $words); or return 1
    test (count $argv) -eq 0; and test (count $words) -gt 0; and return 1
    for index in (seq (count $argv))
        test "$argv[$index]" = "$words[$index]"; or return 1
    end
    # Another word is a second word of a command, or an operand.
    test (count $argv) -eq (count $words)
end

function __isolate_rooted
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        # After the first other word, options belong to the command.
        if test $skip -gt 0
            set skip 0
        else if string match -qr -- '^(-[a-z]*[zt]|--template|--directory)' $word
            return 0
        else if contains -- $word ${valued.join(" ")}
            set skip 1
        else if not string match -q -- '-*' $word
            return 1
        end
    end
    return 1
end

function __isolate_program
    __isolate_rooted; and test (count (__isolate_words)) -eq 0
end

function __isolate_options
    test (count (__isolate_words)) -eq 0
end

complete -c isolate -n 'not __isolate_rooted' -f
complete -c isolate -n '__isolate_program' -f -a '(__fish_complete_command)'
${[...firsts, ...seconds].join("\n")}
${shownOptions.map((option) => fishOption(option, "__isolate_options")).join("\n")}
${all.flatMap(fishCommand).join("\n")}
`;
}
