/** Classifies failures of zfs(8) by its messages, as its exit code is 1 for nearly everything. */
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

/** `stderr`: of a failed command, with LC_ALL=C. */
export function refusalOf(stderr: string): Refusal {
  return words.find(([, expression]) => expression.test(stderr))?.[0] ?? "other";
}

export function refusal(thrown: unknown): Refusal {
  return thrown instanceof CommandError ? refusalOf(thrown.stderr) : "other";
}

/** Returns zfs's reason without the name at its start, which our own sentence already contains. */
export function reasonOf(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const reason = lines.map((line) => /^cannot [^']*'[^']*': (.*)$/.exec(line)?.[1]).find((text) => text !== undefined);
  return reason ?? lines.at(-1) ?? "it failed without a message";
}

/** The names that a command over several of them could not find, or that are no file systems. */
export function unusableNames(stderr: string): ReadonlySet<string> {
  const expression = /^cannot open '([^']+)': (?:dataset does not exist|no such pool|operation not applicable)/gm;
  return new Set([...stderr.matchAll(expression)].map((match) => match[1] ?? ""));
}

/** `doing` follows "cannot" in the sentence. An error for the user stays unchanged. */
export function storageError(doing: string, thrown: unknown): IsolateError {
  if (thrown instanceof IsolateError) return thrown;
  const full = refusal(thrown) === "full" || isFull(thrown);
  return new IsolateError(full ? "storage-full" : "storage-failed", { doing, cause: causeOf(thrown) }, thrown);
}

export function causeOf(thrown: unknown): string {
  if (thrown instanceof CommandError && thrown.stderr.trim() !== "") return reasonOf(thrown.stderr);
  return thrown instanceof Error ? thrown.message : String(thrown);
}
