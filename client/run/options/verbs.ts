/** The verbs of isolate, one entry each. The parser, the help, the manual pages and the completions read them. Pure. */
import type { OptionDefinition } from "./arguments.ts";
import { insideOptions } from "./definitions.ts";

export interface VerbDefinition {
  readonly words: readonly [string, string?];
  /** What the help calls them; one in brackets may be left out, and `...` may be repeated. */
  readonly operands: readonly string[];
  readonly options: readonly OptionDefinition[];
  readonly about: string;
  /** Whole sentences, for the verb's own help. */
  readonly detail?: string;
  /** Options end at the second operand: what follows is a command. */
  readonly endsInCommand?: true;
}

const json: OptionDefinition = { long: "json", values: [], about: "print JSON" };

const sources: readonly OptionDefinition[] = [
  {
    long: "dir",
    values: ["DIR"],
    about: "from a directory",
    detail: "Filesystems mounted below DIR are not included.",
  },
  {
    long: "tar",
    values: ["FILE"],
    about: "from a tar archive",
    detail: "It may be compressed with gzip, xz, zstd or bzip2. '-' is standard input.",
  },
  {
    long: "debian",
    values: ["SUITE"],
    about: "a new minimal Debian; SUITE is a release such as trixie",
    detail: "Uses mmdebstrap and the mirror that apt uses on this host.",
  },
];

const logOptions: readonly OptionDefinition[] = [
  { long: "user", values: ["USER"], about: "only runs of USER, a name or an ID" },
  { long: "template", values: ["TEMPLATE"], about: "only runs in TEMPLATE" },
  {
    long: "end",
    values: ["HOW"],
    about: "only runs with this state: running, ended, killed, cut-off or lost",
    detail:
      "ended: the command ended, or the client did and everything in the sandbox with it. killed: somebody used 'isolate " +
      "kill'. cut-off: the client ended, but processes in the sandbox did not, and the daemon killed them. lost: the run " +
      "ended while no daemon was running.",
  },
  {
    long: "since",
    values: ["WHEN"],
    about: "only runs that began at WHEN or later",
    detail: "WHEN is an age such as 30m, 12h or 7d, or a time such as 2026-11-30 or '2026-11-30 18:00'.",
  },
  { long: "until", values: ["WHEN"], about: "only runs that began before WHEN" },
  { long: "limit", values: ["N"], about: "at most N runs (default: 50)" },
  json,
];

export const verbs = [
  {
    words: ["pool"],
    operands: [],
    options: [json],
    about: "list the pools and their last errors",
  },
  {
    words: ["ps"],
    operands: [],
    options: [json],
    about: "list the running sandboxes",
    detail: "You see your own. Root sees everybody's.",
  },
  {
    words: ["kill"],
    operands: ["LEASE"],
    options: [],
    about: "end a sandbox",
    detail: "LEASE is a name from 'isolate ps', or a unique prefix. Returns when the sandbox's files are removed.",
  },
  {
    words: ["log"],
    operands: [],
    options: logOptions,
    about: "list past and present runs, newest first",
    detail: "You see your own. Root sees everybody's.",
  },
  {
    words: ["doctor"],
    operands: [],
    options: [json],
    about: "report what this host lacks and how to fix it",
    detail:
      "Needs neither a running daemon nor root. If the daemon runs and has a template, the doctor runs 'true' in it. Exits " +
      "with 0 only if this run works and no check fails. '?' marks what it cannot check, mostly without root or a daemon.",
  },
  { words: ["template", "ls"], operands: [], options: [json], about: "list the templates" },
  {
    words: ["template", "create"],
    operands: ["NAME"],
    options: sources,
    about: "make a template (root only)",
    detail:
      "Needs exactly one of --dir, --tar and --debian. A NAME with a slash is a ZFS dataset; any other is stored in " +
      "/var/lib/isolate, using overlayfs. If it fails, nothing is kept.",
  },
  {
    words: ["template", "edit"],
    operands: ["TEMPLATE", "[COMMAND...]"],
    options: insideOptions,
    about: "run a command or a shell in the template itself (root only)",
    detail: "New sandboxes see the change only after 'isolate template snapshot TEMPLATE'.",
    endsInCommand: true,
  },
  {
    words: ["template", "snapshot"],
    operands: ["TEMPLATE"],
    options: [],
    about: "use the template's current state for new sandboxes (root only)",
  },
  {
    words: ["template", "rm"],
    operands: ["TEMPLATE"],
    options: [],
    about: "remove a template made by 'template create' (root only)",
  },
  {
    words: ["help"],
    operands: ["[TOPIC...]"],
    options: [],
    about: "explain a command or a topic",
  },
  { words: ["version"], operands: [], options: [], about: "print the version" },
] as const satisfies readonly VerbDefinition[];

type Words = (typeof verbs)[number]["words"];
export type VerbName = Words extends infer W
  ? W extends readonly [infer A extends string, infer B extends string]
    ? `${A} ${B}`
    : W extends readonly [infer A extends string]
      ? A
      : never
  : never;

/** The verbs that talk to the daemon and stay in the client's own process. */
export type CommandName = Exclude<VerbName, "help" | "version" | "template edit">;
