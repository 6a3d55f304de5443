/** `--help` out of the definitions. Pure. */
import { engineNames, engines, type FeatureName, features } from "../../engines/features.ts";
import { longForm, type OptionDefinition } from "../run/options/arguments.ts";
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
} from "../run/options/definitions.ts";

export const summary = "run any command in a fresh, complete, writable, disposable Linux root";

export const usageLines = `${[
  "usage: isolate -z TEMPLATE [OPTION...] COMMAND [ARG...]",
  "isolate -t DIR [OPTION...] COMMAND [ARG...]",
  "isolate -r TEMPLATE [N] [-f | -s]",
  ...commandUsage(commands),
].join("\n       ")}\n`;

/** A line for all commands of one word, and one for each word that needs another. */
function commandUsage(all: readonly CommandDefinition[]): string[] {
  const single = all.filter(({ words }) => words[1] === undefined).map(({ words }) => words[0]);
  const groups = new Set(all.filter(({ words }) => words[1] !== undefined).map(({ words }) => words[0]));
  return [
    `isolate ${single.join(" | ")} ...`,
    ...[...groups].map((group) => {
      const second = all.filter(({ words }) => words[0] === group).map(({ words }) => words[1]);
      return `isolate ${group} ${second.join(" | ")} ...`;
    }),
  ];
}

export interface Section {
  readonly title: string;
  /** What can be written, and what it does. */
  readonly rows: readonly (readonly [string, string])[];
}

export const sections = (): readonly Section[] => [
  { title: "Which root", rows: optionRows(rootOptions) },
  { title: "How to run", rows: optionRows(runOptions) },
  { title: "Pools (root)", rows: optionRows(poolOptions) },
  { title: "Always", rows: optionRows([...everywhere, version]) },
  { title: "Commands", rows: commands.flatMap(commandRows) },
  { title: "Engines", rows: engineRows() },
  { title: "What engines can", rows: featureRows() },
  { title: "Examples", rows: examples },
];

export const notes: readonly { readonly title: string; readonly text: string }[] = [
  {
    title: "Command line",
    text:
      "Options end at the first word that is none: what follows is the command. A first word that is one of the commands\n" +
      "above is that, unless -z, -t or -r is given.\n",
  },
  {
    title: "Inside",
    text:
      "Inside, the command is root (id 0) of 65536 ids and has 14 capabilities; on the host it is you. /tmp and /home are\n" +
      "empty, there is no network but lo unless --net says so, and of your environment there are TERM, COLORTERM, LANG,\n" +
      "LANGUAGE, LC_*, TZ and NO_COLOR, besides what -v sets. The soft limit of descriptors is that of the process that\n" +
      "started isolate.\n" +
      "The capabilities: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP SETFCAP SYS_CHROOT MKNOD\n" +
      "NET_BIND_SERVICE NET_RAW AUDIT_WRITE. What --cap-add gives besides, the command has over namespaces of its own: what\n" +
      "the sandbox is made of it can neither unmount nor make writable.\n",
  },
  {
    title: "Windows and sound",
    text:
      "-1 shares the display of $DISPLAY, with the cookie from $XAUTHORITY or ~/.Xauthority: the command can then read every\n" +
      "key of the session and see all its windows, unless it is --x11=untrusted. -2 shares the server of $PULSE_SERVER, or\n" +
      "$XDG_RUNTIME_DIR/pulse/native, or /tmp/pulse-socket, with the cookie from $PULSE_COOKIE or ~/.config/pulse/cookie.\n",
  },
  {
    title: "Environment",
    text:
      "PRE_SPAWN_HOOK, POST_SPAWN_HOOK: shell commands to run on the host before and after the command, with the root's path\n" +
      "in ROOTFS; when the first fails there is no run. DISABLE_SECCOMP_WRAPPER=1: as --seccomp=none. Of lxc alone:\n" +
      "LXC_NET_BR (br_vm), LXC_CPU_QUOTA (20, percent of one processor), LXC_MEM_MB_QUOTA (5 % of the memory),\n" +
      "LXC_MAP_TUN=1 (/dev/net/tun), DEBUG_LXC_SPAWN=1 (keeps a log).\n",
  },
  {
    title: "Exit status",
    text:
      "Exit code: the command's own; 128+n when signal n ended it; 126 not executable; 127 not found; 125 when isolate itself\n" +
      "failed. ISOLATE_SOCKET: the daemon's socket.\n",
  },
];

export function help(): string {
  return [`isolate: ${summary}\n`, usageLines, ...sections().map(section), ...notes.map(({ text }) => text)].join("\n");
}

function section({ title, rows }: Section): string {
  const widest = Math.max(...rows.map(([left]) => left.length).filter((length) => length <= 40));
  const line = ([left, right]: readonly [string, string]): string =>
    left.length > widest
      ? `  ${left}\n  ${" ".repeat(widest)}  ${right}`
      : `  ${left.padEnd(widest)}  ${right}`.trimEnd();
  return `${title}:\n${rows.map(line).join("\n")}\n`;
}

function optionRows(options: readonly OptionDefinition[]): (readonly [string, string])[] {
  return options.map((option) => {
    const { short, repeatable, about } = option;
    const letter = short === undefined ? "    " : `-${short}, `;
    return [`${letter}${longForm(option)}`, repeatable ? `${about}; can be repeated` : about];
  });
}

function commandRows({ words, operands, options, about }: CommandDefinition): (readonly [string, string])[] {
  if (options === insideOptions) return [[[words.join(" "), "[OPTIONS]", ...operands].join(" "), about]];
  const [only, ...more] = options;
  const flag = only && more.length === 0 ? [`[--${only.long}]`] : [];
  const rows: (readonly [string, string])[] = [[[...words, ...operands, ...flag].join(" "), about]];
  if (more.length === 0) return rows;
  return [...rows, ...options.map((option): [string, string] => [`  ${longForm(option)}`, option.about])];
}

function engineRows(): (readonly [string, string])[] {
  return engineNames.map((name) => [name, `${engines[name].about}${engines[name].rootOnly ? " (root)" : ""}`]);
}

function featureRows(): (readonly [string, string])[] {
  return (Object.keys(features) as FeatureName[]).map((feature) => {
    const { title, options } = features[feature];
    const able = engineNames.filter((name) => engines[name].can.includes(feature));
    return [options.length === 0 ? title : `${title} (${options.join(" ")})`, able.join(", ")];
  });
}
