/** Compares tools/packages.mjs with the lists of programs: tools/watch.mjs sees only programs that are started. */
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { debianKeyringPackage } from "../../../client/full/templates/debian.ts";
import { hostPrograms } from "../../../client/run/host-programs.ts";
import { projectRoot } from "../../support/project.ts";
import { archiveKeyring, emulator, hostTools } from "../../system/packages.ts";

interface Packages {
  readonly packages: Readonly<Record<string, readonly string[]>>;
  readonly usualGroups: readonly string[];
}
const { packages, usualGroups }: Packages = await import(join(projectRoot, "tools/packages.mjs"));
const named = (groups: readonly string[]): Set<string> => new Set(groups.flatMap((group) => packages[group] ?? []));
const installed = named(usualGroups);

test("npm test installs what the client looks for", () => {
  const wanted = [...Object.entries(hostPrograms), ["the keyring for mmdebstrap", debianKeyringPackage] as const];
  const missing = wanted
    .filter(([, debianPackage]) => !installed.has(debianPackage))
    .map(([program, debianPackage]) => `${program} is of the package ${debianPackage}: name it in tools/packages.mjs`);
  expect(missing).toEqual([]);
});

test("the group 'system' names what the system tests install on this machine", () => {
  const wanted = [...hostTools, emulator, archiveKeyring].map((tool) => tool.package);
  expect([...named(["system"])].sort()).toEqual([...new Set(wanted)].sort());
});

test("no package is named twice in a group", () => {
  for (const names of Object.values(packages)) expect(names).toEqual([...new Set(names)]);
});
