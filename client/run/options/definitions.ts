/** What can be written on the command line: options. The parser, the help, the manual pages and completions read them. */
import type { OptionDefinition } from "./arguments.ts";

export const everywhere: readonly OptionDefinition[] = [
  { short: "q", long: "quiet", values: [], about: "print only warnings and errors" },
  { short: "x", long: "trace", values: [], about: "print every step" },
  {
    long: "socket",
    values: ["PATH"],
    about: "connect to the daemon at PATH",
    detail: "Default: $ISOLATE_SOCKET, or /run/isolate/isolated.sock.",
  },
  { short: "h", long: "help", values: [], about: "print help" },
];

export const rootOptions: readonly OptionDefinition[] = [
  {
    short: "z",
    long: "template",
    values: ["TEMPLATE"],
    about: "run in a fresh copy of TEMPLATE, thrown away afterwards",
  },
  {
    short: "t",
    long: "directory",
    values: ["DIR"],
    about: "run in the root filesystem at DIR; changes stay",
    detail: "Needs no daemon. If root runs isolate, the command can use 65,536 user IDs, otherwise only ID 0.",
  },
];

/** What shapes the inside of a run, wherever its root comes from. */
export const insideOptions: readonly OptionDefinition[] = [
  {
    short: "d",
    long: "bind",
    values: ["HOST:CTR[:ro]"],
    repeatable: true,
    about: "show the host's file or directory HOST at CTR inside",
    detail: "With :ro it is read-only. Missing parts of the path CTR are created.",
  },
  { short: "v", long: "env", values: ["NAME:VALUE"], repeatable: true, about: "set an environment variable" },
  { short: "p", long: "chdir", values: ["DIR"], about: "start in directory DIR (default: /)" },
  {
    short: "n",
    long: "net",
    values: ["MODE"],
    letterMeans: "host",
    about: "network: none (default), private or host; -n means host",
    detail:
      "none: only the loopback device. private: outbound TCP, UDP and ping only; the host cannot be reached and nothing " +
      "can connect in. host: the host's network, with its services on localhost.",
  },
  { long: "abstract-sockets", values: [], about: "with --net=host: allow the host's abstract Unix sockets" },
];

export const runOptions: readonly OptionDefinition[] = [
  ...insideOptions,
  {
    short: "1",
    long: "x11",
    values: ["[=untrusted]"],
    about: "show windows on the X display $DISPLAY",
    detail:
      "The command can read every key of the session and see all windows. With untrusted, it cannot see the " +
      "contents and keys of other windows.",
  },
  { short: "2", long: "pulse", values: [], about: "play and record sound through PulseAudio or PipeWire" },
  {
    short: "u",
    long: "uid-base",
    values: ["N"],
    about: "map user IDs 0 to 65535 to the host's IDs from N on (root only)",
    detail: "Files that the command writes to directories that -d shows belong to these IDs.",
  },
  {
    short: "g",
    long: "gid-base",
    values: ["N"],
    about: "map group IDs in the same way (root only)",
    detail: "If only one of -u and -g is given, it sets both.",
  },
  {
    short: "e",
    long: "engine",
    values: ["ENGINE"],
    about: "sandbox engine: bwrap (default), lxc or chroot",
    detail: "See isolate-engines(7).",
  },
  {
    long: "seccomp",
    values: ["WHICH"],
    about: "system call filter: default, tty, none or FILE",
    detail:
      "tty blocks only calls that can control the terminal. none blocks nothing. FILE is a compiled filter, applied on top of the default " +
      "one.",
  },
  {
    long: "no-new-userns",
    values: [],
    about: "forbid new user namespaces",
    detail: "Except with lxc or --cap-add, this prevents mounting as well.",
  },
  {
    long: "cap-add",
    values: ["CAPABILITY"],
    repeatable: true,
    about: "add a capability, or ALL",
    detail:
      "One beyond the default 14 applies only inside a nested user namespace and cannot undo the sandbox's own mounts.",
  },
  { long: "cap-drop", values: ["CAPABILITY"], repeatable: true, about: "drop a capability, or ALL" },
  {
    long: "read-only",
    values: [],
    about: "mount the root filesystem read-only",
    detail: "/tmp, /home, /dev/shm and directories that -d shows stay writable.",
  },
  { long: "cpus", values: ["N"], about: "limit processor time to N CPUs, such as 0.5" },
  { long: "memory", values: ["SIZE"], about: "limit memory to SIZE, such as 512M or 2G" },
  { long: "pids", values: ["N"], about: "limit to N processes and threads" },
  { short: "i", long: "ignore-interrupt", values: [], about: "ignore SIGINT (Ctrl-C), in the command too" },
  {
    long: "new-session",
    values: [],
    about: "run in a session without a terminal",
    detail: "isolate still forwards Ctrl-C and Ctrl-Z to it.",
  },
  { long: "wait", values: ["SECONDS"], about: "wait at most SECONDS for a ready copy (default: 30)" },
];

export const poolOptions: readonly OptionDefinition[] = [
  {
    short: "r",
    long: "refill",
    values: ["TEMPLATE", "[N]"],
    about: "keep N copies of TEMPLATE ready, from 0 to 100",
    detail: "Returns when they are ready. Without N, a pool keeps its size, and a new pool gets the configured size.",
  },
  { short: "f", long: "fresh", values: [], about: "with -r: replace the ready copies with new ones" },
  { short: "s", long: "reclaim", values: [], about: "with -r: remove used copies, make no new ones" },
];

/** The client's own, when it starts itself again to be held to limits: `scope.ts`. In no help. */
export const inScope: OptionDefinition = { long: "in-scope", values: ["UNIT"], about: "" };

/** The client's own, when another one stays around it and has leased for it: `stay.ts`. In no help. */
export const leased: OptionDefinition = { long: "leased", values: ["JSON"], about: "" };

/** Of isolate_regenerate@.service, with -r: TEMPLATE is the unit's instance. In no help. */
export const instance: OptionDefinition = { long: "instance", values: [], about: "" };

export const version: OptionDefinition = { short: "V", long: "version", values: [], about: "print the version" };

/** What may stand before a command, as the help and the completions have it. */
export const shownOptions: readonly OptionDefinition[] = [
  ...rootOptions,
  ...runOptions,
  ...poolOptions,
  ...everywhere,
  version,
];
export const options: readonly OptionDefinition[] = [...shownOptions, inScope, leased, instance];
