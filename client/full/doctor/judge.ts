/** Judges the facts: what they mean for isolate. Pure. */
import { type Check, check, type Judge } from "./check.ts";
import type { Facts } from "./facts.ts";
import { abstractSockets, bwrap, helpers, kernel, privateNetwork, seccomp, userNamespaces } from "./judge-client.ts";
import { daemon, givenIds, group, limits, subordinateIds, units } from "./judge-daemon.ts";
import { overlay, space, templates, zfs } from "./judge-storage.ts";

/** Whether isolate works here: a run was tried and works, and nothing else fails. */
export function isWell(checks: readonly Check[]): boolean {
  return (
    checks.every(({ state }) => state !== "fail") && checks.some(({ name, state }) => name === "run" && state === "ok")
  );
}

export function judge(facts: Facts): Check[] {
  return judges.flatMap((one) => one(facts));
}

const titles = { x11: "X", wayland: "Wayland", pulse: "PulseAudio" } as const;

const desktop: Judge = ({ desktop: found }) => {
  return found.map(({ name, variable, path, answers }) => {
    const { ok, note } = check(titles[name]);
    if (variable === undefined || path === undefined) return note("not available in this session");
    return answers ? ok(`answers at ${path}`) : note(`${variable} names ${path}, but nobody answers there`);
  });
};

const run: Judge = (facts) => {
  const { ok, fail, unchecked } = check("run");
  if (!facts.run) return [unchecked("not tried: there is no daemon, or no template with a snapshot")];
  const { template, trial } = facts.run;
  const command = `isolate -z ${template} true`;
  return [trial.ok ? ok(`${command} works`) : fail(`${command}: ${trial.said}`)];
};

const judges: readonly Judge[] = [
  kernel,
  userNamespaces,
  seccomp,
  bwrap,
  helpers,
  abstractSockets,
  privateNetwork,
  group,
  subordinateIds,
  givenIds,
  units,
  daemon,
  zfs,
  overlay,
  templates,
  space,
  limits,
  desktop,
  run,
];
