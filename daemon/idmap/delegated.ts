/** This host's subuid(5) and subgid(5). */
import { readFileSync } from "node:fs";
import { type DelegatedRange, parseDelegated } from "./ranges.ts";

/** Returns the ranges in the file; none if the file is missing. */
export function readDelegated(file: string): readonly DelegatedRange[] {
  return parseDelegated(textOf(file));
}

/** Returns the file's text; empty if the file is missing. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
