/** `--help` out of the definitions. Pure. */
import { type CapabilityName, capabilities, type EngineName, engineNames, engines } from "../engines/capabilities.ts";
import type { OptionDefinition } from "./arguments.ts";
import {
  type CommandDefinition,
  commands,
  everywhere,
  examples,
  insideOptions,
  poolOptions,
  rootOptions,
  runOptions,
  version,
} from "./cli.ts";

export const usageLines = `usage: isolate -z TEMPLATE [OPTION...] COMMAND [ARG...]
       isolate -t DIR [OPTION...] COMMAND [ARG...]
       isolate -r TEMPLATE [N] [-f | -s]
       isolate pool | ps [--json]
       isolate template ls | create | edit | snapshot | rm ...
`;

export function help(): string {
  return [
    "isolate: run any command in a fresh, complete, writable, disposable Linux root\n",
    usageLines,
    section("Which root", optionRows(rootOptions)),
    section("How to run", optionRows(runOptions)),
    section("Pools (root)", optionRows(poolOptions)),
    section("Always", optionRows([...everywhere, version])),
    section("Commands", commands.flatMap(commandRows)),
    section("Engines", engineRows()),
    section(
      "Examples",
      examples.map(([command, about]) => [command, about]),
    ),
    "Options end at the first word that is none: what follows is the command. A first word that is one of the commands\n" +
      "above is that, unless -z, -t or -r is given.\n",
    "Inside, the command is root (id 0) of 65536 ids and has 14 capabilities; on the host it is you. /tmp and /home are\n" +
      "empty, the network is absent without -n, and of your environment there are TERM, COLORTERM, LANG, LANGUAGE, LC_*, TZ\n" +
      "and NO_COLOR, besides what -v sets.\n",
    "Exit code: the command's own; 128+n when signal n ended it; 126 not executable; 127 not found; 125 when isolate itself\n" +
      "failed. ISOLATE_SOCKET: the daemon's socket.\n",
  ].join("\n");
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const widest = Math.max(...rows.map(([left]) => left.length).filter((length) => length <= 40));
  const line = ([left, right]: readonly [string, string]): string =>
    left.length > widest
      ? `  ${left}\n  ${" ".repeat(widest)}  ${right}`
      : `  ${left.padEnd(widest)}  ${right}`.trimEnd();
  return `${title}:\n${rows.map(line).join("\n")}\n`;
}

function optionRows(options: readonly OptionDefinition[]): (readonly [string, string])[] {
  return options.map(({ short, long, values, repeatable, about }) => {
    const letter = short === undefined ? "    " : `-${short}, `;
    return [`${letter}--${[long, ...values].join(" ")}`, repeatable ? `${about}; can be repeated` : about];
  });
}

function commandRows({ words, operands, options, about }: CommandDefinition): (readonly [string, string])[] {
  if (options === insideOptions) return [[[words.join(" "), "[OPTIONS]", ...operands].join(" "), about]];
  const [only, ...more] = options;
  const flag = only && more.length === 0 ? [`[--${only.long}]`] : [];
  const rows: (readonly [string, string])[] = [[[...words, ...operands, ...flag].join(" "), about]];
  if (more.length === 0) return rows;
  return [
    ...rows,
    ...options.map(({ long, values, about: each }): [string, string] => [`  --${[long, ...values].join(" ")}`, each]),
  ];
}

function engineRows(): (readonly [string, string])[] {
  return engineNames.map((name: EngineName) => {
    const { about, available, can } = engines[name];
    const abilities = can.map((capability: CapabilityName) => {
      const { title, options } = capabilities[capability];
      return options.length === 0 ? title : `${title} (${options.join(" ")})`;
    });
    return [name, `${about}${available ? "" : " (not there yet)"}: ${abilities.join(", ")}`];
  });
}
