/**
 * Reads the user's intent from options and environment. Pure: nothing is looked up. The only variables read are
 * `ISOLATE_SOCKET`, `DISABLE_SECCOMP_WRAPPER`, the hooks, and for the lxc engine those in `limits.ts`.
 */

import {
  type EngineName,
  engineNames,
  engines,
  type FeatureName,
  features,
  firstLacking,
  isEngineName,
} from "../../../engines/features.ts";
import type { Hooks } from "../../../engines/monitor.ts";
import { type Limits, type Network, networks } from "../../../engines/spec.ts";
import { IsolateError } from "../../../protocol/errors.ts";
import { defaultSocket } from "../../../protocol/socket.ts";
import { type OptionDefinition, type Parsed, parseArguments, spelling, usage } from "./arguments.ts";
import { everywhere, options } from "./definitions.ts";
import { type BootRequest, readBoot, readLimits } from "./limits.ts";
import { nearVerbs } from "./near-verbs.ts";
import type { CapabilityChanges } from "./privileges.ts";
import { type Role, roleOf } from "./role.ts";
import { type CommandName, type VerbDefinition, type VerbName, verbs } from "./verbs.ts";

export interface Common {
  readonly socket: string;
  readonly verbosity: "quiet" | "normal" | "trace";
}

export interface Bind {
  readonly from: string;
  readonly to: string;
  readonly readOnly: boolean;
  /** As it was written. */
  readonly text: string;
}

/** `file`: the default filter and a compiled filter in addition. */
export type Seccomp = { readonly kind: "default" | "tty" | "none" } | { readonly kind: "file"; readonly path: string };

export type Screen = "trusted" | "untrusted";

export interface RunRequest {
  /** `edit`: the template itself instead of a clone. */
  readonly root: { readonly template: string; readonly edit: boolean } | { readonly directory: string };
  readonly engine: EngineName;
  readonly binds: readonly Bind[];
  readonly variables: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly network: Network;
  /** Whether the host's abstract Unix sockets are reachable too; only with the host's network. */
  readonly abstractSockets: boolean;
  /** Shows the caller's X display; `untrusted`: the X server separates the command from other clients. */
  readonly screen: Screen | undefined;
  readonly sound: boolean;
  readonly seccomp: Seccomp;
  readonly noNewUserns: boolean;
  readonly readOnly: boolean;
  /** The host ids that root chose, as written; `undefined` if the daemon chooses. */
  readonly ids: { readonly uid: string | undefined; readonly gid: string | undefined } | undefined;
  /** `undefined` for the usual capabilities. */
  readonly capabilities: CapabilityChanges | undefined;
  /** Ignores SIGINT, also in the command until it changes that. */
  readonly ignoreInterrupt: boolean;
  readonly newSession: boolean;
  /** `undefined` if there are none. */
  readonly hooks: Hooks | undefined;
  readonly role: Role;
  readonly limits: Limits;
  /** Only for an engine that boots a container. */
  readonly boot: BootRequest | undefined;
  /** Seconds; `undefined` for the daemon's default. */
  readonly wait: string | undefined;
  readonly command: readonly [string, ...string[]];
}

export interface RefillRequest {
  readonly template: string;
  /** Validated by the daemon. The default is the pool's current size, or the configured one. */
  readonly size?: string;
  readonly fresh: boolean;
  readonly reclaimOnly: boolean;
  /** Set if `template` is a unit's instance name. */
  readonly instance?: true;
}

export type TemplateSource =
  | { readonly kind: "directory" | "tar"; readonly path: string }
  | { readonly kind: "debian"; readonly suite: string };

export interface CommandRequest {
  readonly name: CommandName;
  readonly json: boolean;
  readonly operand: string;
  /** The values of the other options, by long name. */
  readonly values: Readonly<Record<string, string>>;
  readonly source: TemplateSource | undefined;
}

export type Intent = Common &
  (
    | { readonly kind: "version" | "nothing" }
    /** The words of a verb or of a topic; none: all in short. */
    | { readonly kind: "help"; readonly topic: readonly string[] }
    | { readonly kind: "run"; readonly run: RunRequest }
    | { readonly kind: "refill"; readonly refill: RefillRequest }
    | { readonly kind: "command"; readonly command: CommandRequest }
  );

/** Throws `usage`, `missing-template`, `missing-command`, `bad-bind`, `bad-environment` and `bad-limit`. */
export function readIntent(words: readonly string[], environment: Environment): Intent {
  const parsed = parseArguments(options, words);
  const common = readCommon([parsed], environment);
  if (words.length === 0) return { ...common, kind: "nothing" };
  const hasRoot = parsed.has("template") || parsed.has("directory");
  if (parsed.has("help")) return { ...common, kind: "help", topic: hasRoot ? [] : parsed.operands };
  if (parsed.has("version")) return { ...common, kind: "version" };
  if (parsed.has("refill")) return { ...common, kind: "refill", refill: readRefill(parsed) };
  refuse(parsed, "goes only with -r", ["fresh", "reclaim", "instance"]);
  const command = hasRoot ? undefined : readCommand(parsed, environment);
  return command ?? { ...common, kind: "run", run: readRun(parsed, environment) };
}

export type Environment = Readonly<Record<string, string | undefined>>;

function readCommon(parts: readonly Parsed[], environment: Environment): Common {
  const has = (long: string): boolean => parts.some((part) => part.has(long));
  const given = parts.map((part) => part.value("socket")).findLast((value) => value !== undefined);
  if (given === "") throw usage("--socket is empty");
  if (has("quiet") && has("trace")) throw usage("-q and -x contradict each other");
  return {
    socket: given ?? (environment.ISOLATE_SOCKET || defaultSocket),
    verbosity: has("trace") ? "trace" : has("quiet") ? "quiet" : "normal",
  };
}

function readRefill(parsed: Parsed): RefillRequest {
  const fitting = new Set(["refill", "fresh", "reclaim", "instance", ...everywhere.map(({ long }) => long)]);
  const stranger = parsed.given.find(({ long }) => !fitting.has(long));
  if (stranger) throw usage(`${spelling(stranger)} does not go with -r`);
  if (parsed.operands[0] !== undefined) throw usage(`unexpected word '${parsed.operands[0]}' after -r TEMPLATE [N]`);
  if (parsed.has("fresh") && parsed.has("reclaim"))
    throw usage("-f makes new clones and -s makes none: give one of them");
  const [template = "", size] = parsed.values("refill");
  const rest = { fresh: parsed.has("fresh"), reclaimOnly: parsed.has("reclaim") };
  const instance = parsed.has("instance") ? ({ instance: true } as const) : {};
  return { template, ...(size === undefined ? {} : { size }), ...rest, ...instance };
}

/** Returns `undefined` if the first word is not one of isolate's commands: it then names a program. */
function readCommand(outer: Parsed, environment: Environment): Intent | undefined {
  const [first, ...rest] = outer.operands;
  if (first === undefined) return undefined;
  const second = rest[0];
  const asksForHelp = second === "-h" || second === "--help";
  const candidates: readonly VerbDefinition[] = verbs.filter(({ words }) => words[0] === first);
  const fitting = new Set(everywhere.map(({ long }) => long));
  const stranger = outer.given.find(({ long }) => !fitting.has(long));
  if (candidates.length === 0) {
    if (stranger) return undefined;
    if (asksForHelp) return { ...readCommon([outer], environment), kind: "help", topic: [first] };
    const near = nearVerbs(first);
    if (near.length > 0) throw usage(`unknown command '${first}'; did you mean '${near.join("' or '")}'?`);
    return undefined;
  }
  if (stranger) throw usage(`${spelling(stranger)} does not go with '${first}'`);

  if (asksForHelp) return { ...readCommon([outer], environment), kind: "help", topic: [first] };
  const definition = candidates.find(({ words }) => words[1] === undefined || words[1] === second);
  if (!definition) throw usage(`'${first}' needs one of: ${candidates.map(({ words }) => words[1]).join(", ")}`);
  const topic = definition.words.filter((word) => word !== undefined);
  if (definition.endsInCommand) return readEdit(outer, definition, rest.slice(1), environment);
  const { parts, operands } = readWords([...definition.options, ...everywhere], rest.slice(topic.length - 1));
  const common = readCommon([outer, ...parts], environment);
  if (parts.some((part) => part.has("help"))) return { ...common, kind: "help", topic };
  const name = topic.join(" ") as Exclude<VerbName, "template edit">;
  checkOperands(name, definition.operands, operands);
  if (name === "help") return { ...common, kind: "help", topic: operands };
  if (name === "version") return { ...common, kind: "version" };
  return {
    ...common,
    kind: "command",
    command: {
      name,
      json: parts.some((part) => part.has("json")),
      operand: operands[0] ?? "",
      values: readValues(definition, parts),
      source: name === "template create" ? readSource(parts) : undefined,
    },
  };
}

function checkOperands(name: string, wanted: readonly string[], given: readonly string[]): void {
  const missing = wanted.slice(given.length).find((operand) => !operand.startsWith("["));
  if (missing !== undefined) throw usage(`'${name}' needs ${missing}`);
  const extra = given[wanted.length];
  if (extra !== undefined && !wanted.at(-1)?.includes("...")) throw usage(`unexpected word '${extra}' after '${name}'`);
}

/** Options end at the first operand, as for a run. */
function readEdit(
  outer: Parsed,
  { options: own, words: topic }: VerbDefinition,
  words: readonly string[],
  environment: Environment,
): Intent {
  const parsed = parseArguments([...own, ...everywhere], words);
  const common = readCommon([outer, parsed], environment);
  if (parsed.has("help")) return { ...common, kind: "help", topic: topic.filter((word) => word !== undefined) };
  const [template, ...command] = parsed.operands;
  if (template === undefined) throw usage("'template edit' needs TEMPLATE");
  const [first = "/bin/sh", ...others] = command;
  return {
    ...common,
    kind: "run",
    run: readInside(
      parsed,
      { root: { template, edit: true }, engine: "bwrap", command: [first, ...others] },
      environment,
    ),
  };
}

/** Options of a command may precede or follow its operands, because no other program's words follow. */
function readWords(
  definitions: readonly OptionDefinition[],
  words: readonly string[],
): { parts: Parsed[]; operands: string[] } {
  const parts: Parsed[] = [];
  const operands: string[] = [];
  for (let rest = words; ; ) {
    const part = parseArguments(definitions, rest);
    parts.push(part);
    const [operand, ...others] = part.operands;
    if (operand === undefined) return { parts, operands };
    operands.push(operand);
    rest = others;
  }
}

function readValues({ options: own }: VerbDefinition, parts: readonly Parsed[]): Record<string, string> {
  const pairs = own.flatMap(({ long }): [string, string][] => {
    const value = parts.map((part) => part.value(long)).findLast((one) => one !== undefined);
    return value === undefined ? [] : [[long, value]];
  });
  return Object.fromEntries(pairs);
}

function readSource(parts: readonly Parsed[]): TemplateSource {
  const values = (long: string): readonly string[] => parts.flatMap((part) => part.values(long));
  const given: TemplateSource[] = [
    ...values("dir").map((path) => ({ kind: "directory", path }) as const),
    ...values("tar").map((path) => ({ kind: "tar", path }) as const),
    ...values("debian").map((suite) => ({ kind: "debian", suite }) as const),
  ];
  const [source, ...more] = given;
  if (!source || more.length > 0)
    throw usage("'template create NAME' needs one of --dir DIR, --tar FILE and --debian SUITE");
  return source;
}

function readRun(parsed: Parsed, environment: Environment): RunRequest {
  const engine = readEngine(parsed);
  const [first, ...others] = parsed.operands;
  const template = parsed.value("template");
  const directory = parsed.value("directory");
  if (template !== undefined && directory !== undefined) throw usage("-z and -t contradict each other");
  if (template === undefined && directory === undefined) throw new IsolateError("missing-template", {});
  if (first === undefined) throw new IsolateError("missing-command", {});
  const root = directory === undefined ? { template: template ?? "", edit: false } : { directory };
  return readInside(parsed, { root, engine, command: [first, ...others] }, environment);
}

function readInside(
  parsed: Parsed,
  what: Pick<RunRequest, "root" | "engine" | "command">,
  environment: Environment,
): RunRequest {
  const binds = parsed.values("bind").map(readBind);
  const variables = Object.fromEntries(parsed.values("env").map(readVariable));
  const workingDirectory = parsed.value("chdir") ?? "/";
  if (!workingDirectory.startsWith("/"))
    throw usage(`-p needs an absolute path in the root, not '${workingDirectory}'`);
  const wait = parsed.value("wait");
  if (wait !== undefined && !/^[0-9]{1,5}$/.test(wait))
    throw usage(`--wait needs a whole number of seconds up to 99999, not '${wait}'`);
  if (wait !== undefined && "directory" in what.root) throw usage("--wait goes only with -z");
  return {
    ...what,
    binds,
    variables,
    workingDirectory,
    ...readNetwork(parsed, what.engine),
    screen: readScreen(parsed),
    sound: parsed.has("pulse"),
    seccomp: readSeccomp(parsed.value("seccomp"), environment),
    ids:
      parsed.has("uid-base") || parsed.has("gid-base")
        ? { uid: parsed.value("uid-base"), gid: parsed.value("gid-base") }
        : undefined,
    noNewUserns: parsed.has("no-new-userns"),
    readOnly: parsed.has("read-only"),
    capabilities:
      parsed.has("cap-add") || parsed.has("cap-drop")
        ? { add: parsed.values("cap-add"), drop: parsed.values("cap-drop") }
        : undefined,
    ignoreInterrupt: parsed.has("ignore-interrupt"),
    newSession: parsed.has("new-session"),
    hooks: "edit" in what.root && what.root.edit ? undefined : readHooks(environment),
    role: roleOf({ unit: parsed.value("in-scope"), lease: parsed.value("leased") }),
    limits: readLimits(parsed, environment, what.engine),
    boot: what.engine === "lxc" ? readBoot(environment) : undefined,
    wait,
  };
}

function readScreen(parsed: Parsed): Screen | undefined {
  if (!parsed.has("x11")) return undefined;
  const kind = parsed.value("x11");
  if (kind === undefined || kind === "untrusted") return kind ?? "trusted";
  throw usage(`--x11 can be --x11=untrusted, not '${kind}'`);
}

function readNetwork(parsed: Parsed, engine: EngineName): Pick<RunRequest, "network" | "abstractSockets"> {
  const network = parsed.value("net") ?? (engines[engine].can.includes("noNetwork") ? "none" : "host");
  if (!isNetwork(network)) throw usage(`unknown network '${network}'; there is ${networks.join(", ")}`);
  const abstractSockets = parsed.has("abstract-sockets");
  if (abstractSockets && network !== "host")
    throw usage("--abstract-sockets goes only with the host's network: otherwise the sandbox has its own");
  return { network, abstractSockets };
}

function isNetwork(name: string): name is Network {
  return (networks as readonly string[]).includes(name);
}

function readSeccomp(given: string | undefined, { DISABLE_SECCOMP_WRAPPER: disabled }: Environment): Seccomp {
  if (given === undefined) return { kind: disabled ? "none" : "default" };
  if (given === "default" || given === "tty" || given === "none") return { kind: given };
  if (given === "") throw usage("--seccomp is empty");
  return { kind: "file", path: given };
}

function readHooks({ PRE_SPAWN_HOOK: pre, POST_SPAWN_HOOK: post }: Environment): Hooks | undefined {
  return pre || post ? { pre: pre || undefined, post: post || undefined } : undefined;
}

function readEngine(parsed: Parsed): EngineName {
  const name = parsed.value("engine") ?? "bwrap";
  if (!isEngineName(name)) throw usage(`unknown engine '${name}'; there is ${engineNames.join(", ")}`);
  const written = parsed.given.map((option) =>
    option.long === "net" ? `--net=${parsed.value("net")}` : spelling(option),
  );
  const wanted = (Object.keys(features) as FeatureName[]).filter((feature) =>
    (features[feature].options as readonly string[]).some((option) => written.includes(option)),
  );
  const lacking = firstLacking(name, wanted);
  if (lacking)
    throw usage(
      `the engine '${name}' cannot honour ${features[lacking].options.join(", ")} (${features[lacking].title})`,
    );
  return name;
}

/** Reads `HOST:CTR[:ro]`; no part can contain a colon. */
function readBind(text: string): Bind {
  const wrong = (why: string) => new IsolateError("bad-bind", { bind: text, wrong: why });
  const [from, to, mode, ...more] = text.split(":");
  if (from === undefined || to === undefined || more.length > 0) throw wrong("it does not have two or three parts");
  if (from === "") throw wrong("the part before the colon is empty");
  if (!to.startsWith("/")) throw wrong("the part after the colon is not an absolute path");
  if (mode !== undefined && mode !== "ro") throw wrong(`'${mode}' is not 'ro'`);
  return { from, to, readOnly: mode === "ro", text };
}

/** Reads `NAME:VALUE`; the value may contain colons, be empty, or have several lines. */
function readVariable(text: string): [string, string] {
  const colon = text.indexOf(":");
  const wrong = (why: string) => new IsolateError("bad-environment", { variable: text, wrong: why });
  if (colon < 0) throw wrong("there is no colon");
  const name = text.slice(0, colon);
  if (name === "") throw wrong("the name is empty");
  if (name.includes("=")) throw wrong("the name contains '='");
  return [name, text.slice(colon + 1)];
}

function refuse(parsed: Parsed, why: string, longs: readonly string[]): void {
  const stranger = parsed.given.find(({ long }) => longs.includes(long));
  if (stranger) throw usage(`${spelling(stranger)} ${why}`);
}
