/** `isolate doctor`: reports what this host has and lacks. */

import { harmless } from "../../run/report/print.ts";
import type { Check } from "../doctor/check.ts";
import { isWell, judge } from "../doctor/judge.ts";
import { probe } from "../doctor/probe.ts";
import type { CommandContext } from "./context.ts";

const failed = 1;

export async function doctor(json: boolean, context: CommandContext): Promise<void> {
  const { common, api, print, libc } = context;
  const { environment } = context.output;
  const self = [...ownProgram(), "--socket", common.socket];
  const checks = judge(await probe({ socket: common.socket, api, environment, self, libc }));
  const ok = isWell(checks);
  if (!ok) process.exitCode = failed;
  if (json) return print.json({ ok, checks });
  print.out(text(checks));
  if (!ok) print.error("a run would fail here, or could not be tried", "fix the failed checks, starting from the top");
}

/** The executable contains its runtime; Node needs this program's file as an argument. */
function ownProgram(): string[] {
  const { bun } = process.versions as { bun?: string };
  return bun === undefined ? [process.execPath, process.argv[1] ?? ""] : [process.execPath];
}

const marks = { ok: "ok", note: "note", fail: "FAIL", unchecked: "?" } as const;

function text(checks: readonly Check[]): string {
  const widest = Math.max(...checks.map(({ name }) => name.length));
  const indent = " ".repeat(widest + 8);
  return checks
    .map(({ name, state, message, fix }) => {
      const line = `${marks[state].padEnd(4)}  ${name.padEnd(widest)}  ${harmless(message)}`;
      return `${line}\n${fix === undefined ? "" : `${indent}${harmless(fix)}\n`}`;
    })
    .join("");
}
