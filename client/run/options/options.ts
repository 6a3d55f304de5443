/**
 * Reads the user's intent from options and environment. Pure: nothing is looked up. The only variables read are
 * `ISOLATE_SOCKET`, `DISABLE_SECCOMP_WRAPPER`, the hooks, and for the lxc engine those in `limits.ts`.
 */

import { defaultSocket } from "../../../protocol/socket.ts";
import { type OptionDefinition, type Parsed, parseArguments, spelling, usage } from "./arguments.ts";
import { everywhere, options } from "./definitions.ts";
import { nearVerbs } from "./near-verbs.ts";
import { readInside, readRun } from "./read-run.ts";
import type { Common, Environment, Intent, RefillRequest, TemplateSource } from "./requests.ts";
import { type VerbDefinition, type VerbName, verbs } from "./verbs.ts";

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
    throw usage("'template create NAME' needs exactly one of --dir DIR, --tar FILE and --debian SUITE");
  return source;
}

function refuse(parsed: Parsed, why: string, longs: readonly string[]): void {
  const stranger = parsed.given.find(({ long }) => longs.includes(long));
  if (stranger) throw usage(`${spelling(stranger)} ${why}`);
}
