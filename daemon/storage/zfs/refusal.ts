/** What zfs(8) means when it fails, from its words: its exit code is 1 for nearly everything. */
import { IsolateError } from "../../../protocol/errors.ts";
import { CommandError } from "../../linux/child-process.ts";
import { isFull } from "../failure.ts";

export type Refusal =
  | "missing"
  | "no-parent"
  | "exists"
  | "busy"
  | "dependents"
  | "full"
  | "no-property"
  | "no-key"
  | "other";

const words: readonly (readonly [Refusal, RegExp])[] = [
  ["no-parent", /parent does not exist/],
  ["missing", /dataset does not exist|no such pool/],
  ["exists", /dataset already exists/],
  ["dependents", /has children|has dependent clones/],
  ["full", /out of space|no space left on device|quota exceeded/i],
  ["busy", /(dataset|target|device|resource) is busy/],
  ["no-key", /key (is )?not loaded/],
  ["no-property", /invalid property '/],
];

/** `stderr` of a command that failed, with LC_ALL=C. */
export function refusalOf(stderr: string): Refusal {
  return words.find(([, expression]) => expression.test(stderr))?.[0] ?? "other";
}

export function refusal(thrown: unknown): Refusal {
  return thrown instanceof CommandError ? refusalOf(thrown.stderr) : "other";
}

/** zfs's reason without the name it begins with, which our own sentence holds already. */
export function reasonOf(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const reason = lines.map((line) => /^cannot [^']*'[^']*': (.*)$/.exec(line)?.[1]).find((text) => text !== undefined);
  return reason ?? lines.at(-1) ?? "it failed without a word";
}

/** The names that a command over several of them could not find, or that are no file systems. */
export function unusableNames(stderr: string): ReadonlySet<string> {
  const expression = /^cannot open '([^']+)': (?:dataset does not exist|no such pool|operation not applicable)/gm;
  return new Set([...stderr.matchAll(expression)].map((match) => match[1] ?? ""));
}

/** `doing` goes on after "cannot ...". What already is an error for its user stays as it is. */
export function storageError(doing: string, thrown: unknown): IsolateError {
  if (thrown instanceof IsolateError) return thrown;
  const full = refusal(thrown) === "full" || isFull(thrown);
  return new IsolateError(full ? "storage-full" : "storage-failed", { doing, cause: causeOf(thrown) }, thrown);
}

export function causeOf(thrown: unknown): string {
  if (thrown instanceof CommandError && thrown.stderr.trim() !== "") return reasonOf(thrown.stderr);
  return thrown instanceof Error ? thrown.message : String(thrown);
}
