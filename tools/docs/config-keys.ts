/** Every key of isolated.toml, taken from the schema that checks the file. Pure. */
import type { TSchema } from "@sinclair/typebox";
import { Config } from "../../daemon/config.ts";

export interface ConfigKey {
  /** The table of the key; `undefined` for a top-level key. */
  readonly table: { readonly name: string; readonly repeated: boolean; readonly about: string } | undefined;
  readonly name: string;
  readonly about: string;
  /** The default, or an example, in TOML. */
  readonly value: { readonly kind: "default" | "example"; readonly text: string };
  readonly schema: TSchema;
}

export function configKeys(): ConfigKey[] {
  const all = Object.entries(Config.properties as Record<string, TSchema>);
  const tables = all.filter(([, schema]) => tableOf(schema) !== undefined);
  const plain = all.filter(([, schema]) => tableOf(schema) === undefined);
  return [
    ...plain.map(([name, schema]) => keyOf(name, schema, undefined)),
    ...tables.flatMap(([name, schema]) => {
      const table = { name, repeated: schema.type === "array", about: described(name, schema) };
      return Object.entries(tableOf(schema) ?? {}).map(([key, one]) => keyOf(key, one, table));
    }),
  ];
}

/** Returns a file to start from: every key as a comment, with its default. */
export function commentedConfig(): string {
  const lines = [
    "# Configuration of isolated(8); isolated.toml(5) explains it. Lines that are commented out show the defaults, except",
    "# the examples of [[template]]. After a change: systemctl reload isolated",
  ];
  let before: string | undefined;
  for (const { table, name, about, value } of configKeys()) {
    if (table && table.name !== before) {
      lines.push("", ...comment(table.about), table.repeated ? `#[[${table.name}]]` : `[${table.name}]`);
      before = table.name;
    }
    lines.push("", ...comment(about), `#${name} = ${value.text}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Returns the allowed values, for a reader. */
export function describeValues({ schema }: ConfigKey): string {
  const choices = (schema.anyOf ?? []) as readonly TSchema[];
  if (choices.length > 0)
    return choices
      .map(describeOne)
      .join(", ")
      .replace(/, ([^,]*)$/, " or $1");
  if (schema.type === "array") {
    const items = schema.items as TSchema;
    return `a list, each entry ${((items.anyOf ?? [items]) as readonly TSchema[]).map(describeOne).join(" or ")}`;
  }
  return describeOne(schema);
}

function describeOne(schema: TSchema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "integer") {
    const { minimum, maximum } = schema;
    if (maximum === undefined) return minimum === undefined ? "a whole number" : `a whole number from ${minimum}`;
    return `a whole number from ${minimum} to ${maximum}`;
  }
  if (schema.type === "boolean") return "true or false";
  return schema.pattern === "^/" ? "an absolute path" : "text";
}

function keyOf(name: string, schema: TSchema, table: ConfigKey["table"]): ConfigKey {
  const [example] = (schema.examples ?? []) as readonly unknown[];
  const text = JSON.stringify(schema.default ?? example);
  if (text === undefined) throw new Error(`the key ${name} of the configuration has neither a default nor an example`);
  const kind = schema.default === undefined ? "example" : "default";
  return { table, name, about: described(name, schema), value: { kind, text }, schema };
}

function described(name: string, { description }: TSchema): string {
  if (description === undefined) throw new Error(`the key ${name} of the configuration has no description`);
  return description;
}

/** Returns the keys of a table, or of the entries of a list of tables. */
function tableOf(schema: TSchema): Record<string, TSchema> | undefined {
  const inner = schema.type === "array" ? (schema.items as TSchema) : schema;
  return inner.type === "object" ? (inner.properties as Record<string, TSchema>) : undefined;
}

/** Wraps the text into comment lines of at most 100 characters. */
function comment(text: string): string[] {
  const lines: string[] = [];
  let line = "#";
  for (const word of text.split(" ")) {
    if (line.length + word.length + 1 > 100) {
      lines.push(line);
      line = "#";
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
