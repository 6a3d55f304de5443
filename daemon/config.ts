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
        description: "Clones to keep ready. A size set by 'isolate -r' holds until this one changes.",
        examples: [5],
      }),
    ),
    users: Type.Optional(
      Type.Array(nameOrId, {
        description:
          "Users who may use the template, by name or ID. If neither users nor groups is set, every member of the group may.",
        examples: [["ann", 1001]],
      }),
    ),
    groups: Type.Optional(
      Type.Array(nameOrId, {
        description:
          "Groups whose members may use the template, too. These users must also be members of the group that the key group names.",
        examples: [["builders"]],
      }),
    ),
    snapshots: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          "Use only snapshots whose names match this pattern with * and ?. By default, all snapshots are used. Set this if a " +
          "backup tool makes short-lived snapshots.",
        examples: ["release-*"],
      }),
    ),
  },
  strict,
);

/** The descriptions appear in isolated.toml(5) and in the packaged isolated.toml. */
export const Config = Type.Object(
  {
    group: Type.Union(nameOrId.anyOf, {
      default: "isolate",
      description: "The group whose members may run sandboxes; a name or a GID.",
    }),
    socket: path(
      "/run/isolate/isolated.sock",
      "Where the daemon listens. Under systemd, isolated.socket decides this.",
    ),
    state_dir: path("/var/lib/isolate", "Directory for the database and the overlay store."),
    runtime_dir: path("/run/isolate", "Directory for mounted clones, user namespaces and signal files."),
    log_level: Type.Union(
      (["trace", "debug", "info", "warn", "error", "fatal"] as const).map((level) => Type.Literal(level)),
      { default: "info", description: "Log messages of this level and more urgent ones." },
    ),
    on_demand: Type.Boolean({
      default: false,
      description:
        "For hosts that start the daemon only when it is needed: the end of each sandbox starts the daemon, which removes " +
        "the used clone and fills the pool.",
    }),
    limits: Type.Object(
      {
        leases_per_user: Type.Integer({
          minimum: 1,
          default: 64,
          description: "How many clones one user may have at a time. A used clone counts until it is removed.",
        }),
      },
      { ...strict, default: {}, description: "Limits of each user." },
    ),
    pool: Type.Object(
      {
        size: Type.Integer({
          ...poolSize,
          default: 5,
          description: "Clones to keep ready of each template that has no size in its [[template]].",
        }),
        refill_concurrency: Type.Integer({
          minimum: 1,
          maximum: 64,
          default: 4,
          description: "How many clones are made at the same time, in all pools together.",
        }),
      },
      { ...strict, default: {}, description: "Settings of all pools." },
    ),
    lease_log: Type.Object(
      {
        days: Type.Integer({
          minimum: 1,
          maximum: 36500,
          default: 90,
          description: "Remove entries that are older than so many days.",
        }),
        entries: Type.Integer({
          minimum: 0,
          maximum: 10_000_000,
          default: 100_000,
          description: "Keep at most so many entries; the oldest are removed first. 0 records nothing.",
        }),
        commands: Type.Union(
          (["none", "program", "full"] as const).map((one) => Type.Literal(one)),
          { default: "program", description: "Which part of a command line is recorded. Arguments may hold secrets." },
        ),
      },
      { ...strict, default: {}, description: "The log that 'isolate log' shows." },
    ),
    ids: Type.Object(
      {
        subuid: path("/etc/subuid", "File with the users' subordinate user IDs, subuid(5)."),
        subgid: path("/etc/subgid", "File with the users' subordinate group IDs, subgid(5)."),
        base: Type.Integer({
          minimum: 65536,
          maximum: 0x7ffd0000,
          default: givenIds.first,
          description:
            "The first of the IDs that the daemon gives to users without a range in subuid(5), 65536 to each. It never gives " +
            "IDs that accounts have, or that useradd (login.defs(5)) or systemd may give to others.",
        }),
      },
      { ...strict, default: {}, description: "Host IDs that sandboxes use." },
    ),
    zfs: Type.Object(
      {
        refquota: Type.String({
          pattern: "^(none|[0-9]+[KMGTP]?)$",
          default: "none",
          description: "The refquota of each clone, see zfsprops(7).",
        }),
      },
      { ...strict, default: {}, description: "Settings for templates that are ZFS datasets." },
    ),
    template: Type.Array(TemplateConfig, {
      default: [],
      description:
        "One table for each template that needs settings of its own. A ZFS dataset that is named here becomes a template.",
    }),
  },
  strict,
);

export type Config = Static<typeof Config>;
export type TemplateConfig = Static<typeof TemplateConfig>;

/** The values of the flags `--socket`, `--state-dir` and `--runtime-dir`; they override the file. */
export type ConfigOverrides = Partial<Pick<Config, "socket" | "state_dir" | "runtime_dir">>;

export const defaultConfigFile = "/etc/isolate/isolated.toml";

/**
 * Reads the file, checks it and fills in the defaults. A missing file is an error only if a flag named it (`named`).
 * Throws `bad-config` with the line, or `cannot-start` if the file cannot be read.
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

/** Pure. `file` appears only in error messages. */
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

/** Explains the last error: ajv reports each branch of a union and then the union, the value as a whole. */
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

/** Returns the line of the key nearest to `keys`, counted from 1. */
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
