/** The configuration: its schema, its defaults and the file `isolated.toml`. */
import { readFileSync } from "node:fs";
import { type Static, Type } from "@sinclair/typebox";
import { Ajv, type ErrorObject } from "ajv";
import { type AST, getStaticTOMLValue, ParseError, parseTOML } from "toml-eslint-parser";
import { IsolateError } from "../protocol/errors.ts";
import { givenIds } from "../protocol/ids.ts";

const strict = { additionalProperties: false } as const;
const path = (value: string, description: string) => Type.String({ pattern: "^/", default: value, description });
const nameOrId = Type.Union([Type.String({ minLength: 1 }), Type.Integer({ minimum: 0 })]);
const poolSize = { minimum: 0, maximum: 100 };

const TemplateConfig = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      description: "A ZFS dataset, or a template of the overlay store.",
      examples: ["rpool/isolate/debian"],
    }),
    size: Type.Optional(
      Type.Integer({
        ...poolSize,
        description: "Clones to keep ready. A size that 'isolate -r' has set since holds until this one changes.",
        examples: [5],
      }),
    ),
    users: Type.Optional(
      Type.Array(nameOrId, {
        description:
          "Who may lease from it, by names or ids, besides the groups. With neither users nor groups every member may.",
        examples: [["ann", 1001]],
      }),
    ),
    groups: Type.Optional(
      Type.Array(nameOrId, {
        description: "Members of these groups may, too, if they are members of the group of all as well.",
        examples: [["builders"]],
      }),
    ),
    snapshots: Type.Optional(
      Type.String({
        minLength: 1,
        description: "A glob of * and ? that the names of usable snapshots fit. By default all are.",
        examples: ["release-*"],
      }),
    ),
  },
  strict,
);

/** The descriptions are what isolated.toml(5) and the packaged isolated.toml say. */
export const Config = Type.Object(
  {
    group: Type.Union(nameOrId.anyOf, { default: "isolate", description: "Its members may lease; a name or a gid." }),
    socket: path(
      "/run/isolate/isolated.sock",
      "Where the daemon listens. Under systemd isolated.socket decides that instead.",
    ),
    state_dir: path("/var/lib/isolate", "The database and the overlay store."),
    runtime_dir: path("/run/isolate", "Views, user namespaces and signal files."),
    log_level: Type.Union(
      (["trace", "debug", "info", "warn", "error", "fatal"] as const).map((level) => Type.Literal(level)),
      { default: "info", description: "The least urgent messages that are logged." },
    ),
    on_demand: Type.Boolean({
      default: false,
      description:
        "For hosts that start the daemon only when it is needed: what stays of a run connects once when its sandbox has " +
        "ended, so that the socket starts the daemon, which reclaims the clone and fills the pool.",
    }),
    limits: Type.Object(
      {
        leases_per_user: Type.Integer({
          minimum: 1,
          default: 64,
          description: "How many clones of one user there may be until they are gone.",
        }),
      },
      { ...strict, default: {}, description: "What one user may use up." },
    ),
    pool: Type.Object(
      {
        size: Type.Integer({
          ...poolSize,
          default: 5,
          description: "Clones to keep ready of each template that names no size.",
        }),
        refill_concurrency: Type.Integer({
          minimum: 1,
          maximum: 64,
          default: 4,
          description: "Clones that are made at once, in all pools together.",
        }),
      },
      { ...strict, default: {}, description: "What all pools have in common." },
    ),
    lease_log: Type.Object(
      {
        days: Type.Integer({
          minimum: 1,
          maximum: 36500,
          default: 90,
          description: "Entries older than this are removed.",
        }),
        entries: Type.Integer({
          minimum: 0,
          maximum: 10_000_000,
          default: 100_000,
          description: "More than these are removed, the oldest first; with 0 nothing is recorded.",
        }),
        commands: Type.Union(
          (["none", "program", "full"] as const).map((one) => Type.Literal(one)),
          { default: "program", description: "What of a command is recorded. Arguments may hold secrets." },
        ),
      },
      { ...strict, default: {}, description: "The log of ended leases, for 'isolate log'." },
    ),
    ids: Type.Object(
      {
        subuid: path("/etc/subuid", "The users' ranges of user ids, subuid(5)."),
        subgid: path("/etc/subgid", "The users' ranges of group ids, subgid(5)."),
        base: Type.Integer({
          minimum: 65536,
          maximum: 0x7ffd0000,
          default: givenIds.first,
          description:
            "The first of the ids that the daemon gives to users without a range of their own, 65536 to each. The daemon gives " +
            "no ids that accounts have, or that useradd (login.defs(5)) or systemd may give to others.",
        }),
      },
      { ...strict, default: {}, description: "The host's ids that stand for those of a sandbox." },
    ),
    zfs: Type.Object(
      {
        refquota: Type.String({
          pattern: "^(none|[0-9]+[KMGTP]?)$",
          default: "none",
          description: "The refquota of each clone, zfsprops(7).",
        }),
      },
      { ...strict, default: {}, description: "Templates that are ZFS datasets." },
    ),
    template: Type.Array(TemplateConfig, {
      default: [],
      description: "One for each template that is to have other than the common settings, or that is a dataset.",
    }),
  },
  strict,
);

export type Config = Static<typeof Config>;
export type TemplateConfig = Static<typeof TemplateConfig>;

/** What the flags `--socket`, `--state-dir` and `--runtime-dir` say; they win over the file. */
export type ConfigOverrides = Partial<Pick<Config, "socket" | "state_dir" | "runtime_dir">>;

export const defaultConfigFile = "/etc/isolate/isolated.toml";

/**
 * Reads the file, checks it and fills in the defaults. A missing file is an error only when it was `named` by a flag.
 * Throws `bad-config` with the line.
 */
export function loadConfig(file: string, named: boolean, overrides: ConfigOverrides): Config {
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (named || code !== "ENOENT") {
      throw new IsolateError("cannot-start", { wrong: `cannot read ${file}: ${code}`, fix: "check --config" }, error);
    }
  }
  return { ...parseConfig(text, file), ...overrides };
}

/** Pure. `file` is for messages. */
export function parseConfig(text: string, file: string): Config {
  const tree = parse(text, file);
  const value = getStaticTOMLValue(tree) as unknown;
  const validate = new Ajv({ useDefaults: true, allErrors: false, strict: false, verbose: true }).compile(Config);
  if (!validate(value)) {
    const { line, wrong } = explain(tree, (validate.errors ?? []) as ErrorObject[]);
    throw new IsolateError("bad-config", { file, line, wrong });
  }
  return value as Config;
}

function parse(text: string, file: string): AST.TOMLProgram {
  try {
    return parseTOML(text);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw new IsolateError("bad-config", { file, line: error.lineNumber, wrong: `not TOML: ${error.message}` }, error);
  }
}

/** ajv reports each branch of a union and then the union; the last one speaks of the value as a whole. */
function explain(tree: AST.TOMLProgram, errors: readonly ErrorObject[]): { line: number; wrong: string } {
  const error = errors.at(-1);
  if (!error) return { line: 1, wrong: "not valid" };
  const keys = error.instancePath.split("/").slice(1);
  const schema = error.parentSchema as { properties?: object; anyOf?: { const?: string; type?: string }[] } | undefined;
  if (error.keyword === "additionalProperties") {
    const key = String((error.params as { additionalProperty: string }).additionalProperty);
    const allowed = Object.keys(schema?.properties ?? {}).join(", ");
    return { line: lineOf(tree, [...keys, key]), wrong: `unknown key '${key}'; the keys here are ${allowed}` };
  }
  const name = keys.join(".") || "the file";
  const line = lineOf(tree, keys);
  if (error.keyword === "anyOf") {
    const allowed = (schema?.anyOf ?? []).map((one) => (one.const === undefined ? `a ${one.type}` : `"${one.const}"`));
    return { line, wrong: `'${name}' must be ${allowed.join(" or ")}` };
  }
  if (error.keyword === "required") {
    return { line, wrong: `'${name}' has no '${(error.params as { missingProperty: string }).missingProperty}'` };
  }
  if (error.keyword === "pattern" && (error.params as { pattern: string }).pattern === "^/") {
    return { line, wrong: `'${name}' must be an absolute path` };
  }
  return { line, wrong: `'${name}' ${error.message}` };
}

/** The line of the key that is nearest to `keys`, counted from 1. */
function lineOf(tree: AST.TOMLProgram, keys: readonly string[]): number {
  let best = { depth: -1, line: 1 };
  const consider = (node: { readonly loc: AST.SourceLocation }, at: readonly (string | number)[]): void => {
    const fits = at.length <= keys.length && at.every((key, index) => String(key) === keys[index]);
    if (fits && at.length > best.depth) best = { depth: at.length, line: node.loc.start.line };
  };
  const pairs = (body: readonly AST.TOMLKeyValue[], prefix: readonly (string | number)[]): void => {
    for (const pair of body) {
      const at = [...prefix, ...getStaticTOMLValue(pair.key)];
      consider(pair, at);
      if (pair.value.type === "TOMLInlineTable") pairs(pair.value.body, at);
    }
  };
  for (const node of tree.body[0].body) {
    if (node.type === "TOMLTable") {
      consider(node, node.resolvedKey);
      pairs(node.body, node.resolvedKey);
    } else {
      pairs([node], []);
    }
  }
  return best.line;
}
