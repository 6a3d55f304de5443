/** One line of the doctor's report, and how judgements build it. Pure. */
import type { Facts } from "./facts.ts";

/**
 * `fail`: a run will not work. `note`: it works, with a restriction. `unchecked`: the client cannot tell.
 */
export type State = "ok" | "note" | "fail" | "unchecked";

export interface Check {
  readonly name: string;
  readonly state: State;
  readonly message: string;
  /** The command that fixes it. */
  readonly fix?: string;
}

export type Judge = (facts: Facts) => readonly Check[];

export const check = (name: string) => {
  const say =
    (state: State) =>
    (message: string, fix?: string): Check =>
      fix === undefined ? { name, state, message } : { name, state, message, fix };
  return { ok: say("ok"), note: say("note"), fail: say("fail"), unchecked: say("unchecked") };
};

/** Compares versions such as `6.12.48-amd64`. */
export function atLeast(version: string, major: number, minor: number): boolean {
  const [, first, second] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(first) > major || (Number(first) === major && Number(second) >= minor);
}
