/** What can be written on the command line: definitions only. The parser, the help and the man pages read them. */
import type { OptionDefinition } from "./arguments.ts";

export const everywhere: readonly OptionDefinition[] = [
  { short: "q", long: "quiet", values: [], about: "print warnings and errors only" },
  { short: "x", long: "trace", values: [], about: "print what is done" },
  {
    long: "socket",
    values: ["PATH"],
    about: "the daemon's socket (default: $ISOLATE_SOCKET, or /run/isolate/isolated.sock)",
  },
  { short: "h", long: "help", values: [], about: "print this" },
];

export const rootOptions: readonly OptionDefinition[] = [
  {
    short: "z",
    long: "template",
    values: ["TEMPLATE"],
    about: "run in a fresh clone of TEMPLATE, thrown away afterwards",
  },
  {
    short: "t",
    long: "directory",
    values: ["DIR"],
    about: "run in the root at DIR itself; what is changed there stays (root has all ids there, a user only id 0)",
  },
];

/** What shapes the inside of a run, wherever its root comes from. */
export const insideOptions: readonly OptionDefinition[] = [
  {
    short: "d",
    long: "bind",
    values: ["HOST:CTR[:ro]"],
    repeatable: true,
    about: "show the host's file or directory HOST at CTR",
  },
  { short: "v", long: "env", values: ["NAME:VALUE"], repeatable: true, about: "set an environment variable" },
  { short: "p", long: "chdir", values: ["DIR"], about: "start in DIR of the root (default: /)" },
  {
    short: "n",
    long: "net",
    values: ["MODE"],
    letterMeans: "host",
    about:
      "none (default): only lo; host, which -n means: the host's network; private: the way out, by pasta(1), and none to the " +
      "host itself",
  },
  {
    long: "abstract-sockets",
    values: [],
    about: "with the host's network: let the host's abstract Unix sockets be reached too",
  },
];

export const runOptions: readonly OptionDefinition[] = [
  ...insideOptions,
  {
    short: "1",
    long: "x11",
    values: ["[=untrusted]"],
    about:
      "show windows on the X display of $DISPLAY; untrusted: without what other windows show and the keys they get",
  },
  { short: "2", long: "pulse", values: [], about: "play and record sound by the session's PulseAudio or PipeWire" },
  {
    short: "u",
    long: "uid-base",
    values: ["N"],
    about: "let user 0 to 65535 be N to N+65535 on the host, and write as they do where -d leads (root)",
  },
  { short: "g", long: "gid-base", values: ["N"], about: "the same for groups; one of the two alone is meant for both" },
  { short: "e", long: "engine", values: ["ENGINE"], about: "bwrap (default), lxc or chroot: see below" },
  {
    long: "seccomp",
    values: ["WHICH"],
    about:
      "filter of system calls: default, tty (for the terminal alone), FILE (a compiled one on top of default) or none",
  },
  { long: "no-new-userns", values: [], about: "let the command make no user namespaces" },
  {
    long: "cap-add",
    values: ["CAPABILITY"],
    repeatable: true,
    about: "a capability besides the usual ones, or ALL: see below",
  },
  {
    long: "cap-drop",
    values: ["CAPABILITY"],
    repeatable: true,
    about: "one of the usual capabilities that is not wanted, or ALL",
  },
  { long: "read-only", values: [], about: "the root read-only, but for /tmp, /home, /dev/shm and what -d binds" },
  { long: "cpus", values: ["N"], about: "no more processor time than N processors give, such as 0.5" },
  { long: "memory", values: ["SIZE"], about: "no more memory than SIZE, such as 512M or 2G" },
  { long: "pids", values: ["N"], about: "no more than N processes and threads" },
  { short: "i", long: "ignore-interrupt", values: [], about: "ignore SIGINT (Ctrl-C), for the command too" },
  {
    long: "new-session",
    values: [],
    about: "a session of its own, which has no terminal; Ctrl-C and Ctrl-Z work all the same",
  },
  { long: "wait", values: ["SECONDS"], about: "how long to wait for a clone when none is ready (default: 30)" },
];

export const poolOptions: readonly OptionDefinition[] = [
  {
    short: "r",
    long: "refill",
    values: ["TEMPLATE", "[N]"],
    about: "keep N (0..100; default: as configured) clones of TEMPLATE's newest snapshot ready; returns when they are",
  },
  { short: "f", long: "fresh", values: [], about: "with -r: replace the ready clones by new ones" },
  { short: "s", long: "reclaim", values: [], about: "with -r: reclaim what is used up, make none" },
];

/** The client's own, when it starts itself again to be held to limits: `scope.ts`. In no help. */
export const inScope: OptionDefinition = { long: "in-scope", values: ["UNIT"], about: "" };

/** The client's own, when another one stays around it and has leased for it: `stay.ts`. In no help. */
export const leased: OptionDefinition = { long: "leased", values: ["JSON"], about: "" };

/** Of isolate_regenerate@.service, with -r: TEMPLATE is the unit's instance. In no help. */
export const instance: OptionDefinition = { long: "instance", values: [], about: "" };

export const version: OptionDefinition = { long: "version", values: [], about: "print the version" };

/** What may stand before a command, as the help and the completions have it. */
export const shownOptions: readonly OptionDefinition[] = [
  ...rootOptions,
  ...runOptions,
  ...poolOptions,
  ...everywhere,
  version,
];
export const options: readonly OptionDefinition[] = [...shownOptions, inScope, leased, instance];

export interface CommandDefinition {
  readonly words: readonly [string, string?];
  readonly operands: readonly string[];
  readonly options: readonly OptionDefinition[];
  readonly about: string;
}

const json: OptionDefinition = { long: "json", values: [], about: "print JSON" };

const sources: readonly OptionDefinition[] = [
  { long: "dir", values: ["DIR"], about: "from a directory" },
  { long: "tar", values: ["FILE"], about: "from a tar archive, compressed or not" },
  { long: "debian", values: ["SUITE"], about: "a new small Debian, such as trixie" },
];

const logOptions: readonly OptionDefinition[] = [
  { long: "user", values: ["USER"], about: "only those of USER, a name or an id" },
  { long: "template", values: ["TEMPLATE"], about: "only those of TEMPLATE" },
  { long: "end", values: ["HOW"], about: "only those that are running, ended, killed, cut-off or lost" },
  { long: "since", values: ["WHEN"], about: "begun at WHEN or later: 30m, 12h, 7d, 2026-11-30, '2026-11-30 18:00'" },
  { long: "until", values: ["WHEN"], about: "begun before WHEN" },
  { long: "limit", values: ["N"], about: "at most N (default: 50)" },
  json,
];

export const commands = [
  {
    words: ["pool"],
    operands: [],
    options: [json],
    about: "list the pools: clones ready, in use, their bytes, and what went wrong",
  },
  { words: ["ps"], operands: [], options: [json], about: "list the sandboxes that run; root sees everybody's" },
  {
    words: ["kill"],
    operands: ["LEASE"],
    options: [],
    about: "end a sandbox; LEASE as ps names it, or a part from its beginning that no other has",
  },
  {
    words: ["log"],
    operands: [],
    options: logOptions,
    about: "list who leased what and how it ended, the newest first; root sees everybody's",
  },
  {
    words: ["doctor"],
    operands: [],
    options: [json],
    about: "check what this host needs and say what fixes it; exits with 0 only if a run would work",
  },
  { words: ["template", "ls"], operands: [], options: [json], about: "list the templates" },
  { words: ["template", "create"], operands: ["NAME"], options: sources, about: "make a template (root)" },
  {
    words: ["template", "edit"],
    operands: ["TEMPLATE", "[COMMAND...]"],
    options: insideOptions,
    about: "change a template: run COMMAND, or a shell, in its own root; snapshot it afterwards (root)",
  },
  {
    words: ["template", "snapshot"],
    operands: ["TEMPLATE"],
    options: [],
    about: "let new clones show its present state (root)",
  },
  {
    words: ["template", "rm"],
    operands: ["TEMPLATE"],
    options: [],
    about: "remove a template that isolate made (root)",
  },
] as const satisfies readonly CommandDefinition[];

type Words = (typeof commands)[number]["words"];
export type CommandName = Words extends infer W
  ? W extends readonly [infer A extends string, infer B extends string]
    ? `${A} ${B}`
    : W extends readonly [infer A extends string]
      ? A
      : never
  : never;

export const examples: readonly (readonly [command: string, about: string])[] = [
  ["isolate -z debian bash", "a shell in a fresh root, yours to break"],
  ["isolate -z debian -n apt-get update", "with the host's network"],
  ["isolate -z debian --net=private apt-get update", "with the way out, and none to the host itself"],
  ["isolate -z debian -d .:/src -p /src make", "on this directory"],
  ["isolate -z debian -d /data:/data:ro -v LANG:C.UTF-8 sh -c 'ls /data'", "read-only, with a variable"],
  ["isolate -1 -2 -n -z desktop firefox", "with a window, sound and the network"],
  ["isolate -t ./root sh", "in a directory of your own; changes stay"],
  ["sudo isolate template create debian --debian trixie", "make a template"],
  ["sudo isolate template edit -n debian apt-get upgrade", "change the template"],
  ["sudo isolate template snapshot debian", "and let new clones have it"],
  ["sudo isolate -r debian 5", "keep five clones of it ready"],
  ["sudo isolate log --user ann --since 7d", "what ann ran in the last week"],
];
