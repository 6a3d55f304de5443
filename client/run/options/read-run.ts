/** Reads a run from its options and the environment. Pure. */
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
import { type Network, networks } from "../../../engines/spec.ts";
import { IsolateError } from "../../../protocol/errors.ts";
import { type Parsed, spelling, usage } from "./arguments.ts";
import { readBoot, readLimits } from "./limits.ts";
import type { Bind, Environment, RunRequest, Screen, Seccomp } from "./requests.ts";
import { roleOf } from "./role.ts";

/** Throws `usage`, `missing-template`, `missing-command`, `bad-bind`, `bad-environment` and `bad-limit`. */
export function readRun(parsed: Parsed, environment: Environment): RunRequest {
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

/** The same for a run whose root filesystem, engine and command are known. */
export function readInside(
  parsed: Parsed,
  what: Pick<RunRequest, "root" | "engine" | "command">,
  environment: Environment,
): RunRequest {
  const binds = parsed.values("bind").map(readBind);
  const variables = Object.fromEntries(parsed.values("env").map(readVariable));
  const workingDirectory = parsed.value("chdir") ?? "/";
  if (!workingDirectory.startsWith("/"))
    throw usage(`-p needs an absolute path in the root filesystem, not '${workingDirectory}'`);
  const wait = parsed.value("wait");
  if (wait !== undefined && !/^[0-9]{1,5}$/.test(wait))
    throw usage(`--wait needs a whole number of seconds up to 99999, not '${wait}'`);
  if (wait !== undefined && "directory" in what.root) throw usage("--wait goes only with -z");
  const given = (...names: string[]): boolean => names.some((name) => parsed.has(name));
  return {
    ...what,
    binds,
    variables,
    workingDirectory,
    ...readNetwork(parsed, what.engine),
    screen: readScreen(parsed),
    sound: parsed.has("pulse"),
    seccomp: readSeccomp(parsed.value("seccomp"), environment),
    ids: given("uid-base", "gid-base") ? { uid: parsed.value("uid-base"), gid: parsed.value("gid-base") } : undefined,
    noNewUserns: parsed.has("no-new-userns"),
    readOnly: parsed.has("read-only"),
    capabilities: given("cap-add", "cap-drop")
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
  if (!isNetwork(network)) throw usage(`unknown network '${network}'; the networks are ${networks.join(", ")}`);
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
  if (!isEngineName(name)) throw usage(`unknown engine '${name}'; the engines are ${engineNames.join(", ")}`);
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
