/** subuid(5) and subgid(5) as they are on this host. */
import { readFileSync } from "node:fs";
import { type DelegatedRange, parseDelegated } from "./ranges.ts";

/** A host without the file delegates nothing. */
export function readDelegated(file: string): readonly DelegatedRange[] {
  return parseDelegated(textOf(file));
}

/** Empty where there is no such file. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
