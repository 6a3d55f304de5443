import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { helpOn } from "../../../client/full/help/topics.ts";
import { spelling } from "../../../client/run/options/arguments.ts";
import { options } from "../../../client/run/options/definitions.ts";
import {
  type EngineName,
  engineNames,
  engines,
  type FeatureName,
  features,
  firstLacking,
  isEngineName,
} from "../../../engines/features.ts";
import { networks } from "../../../engines/spec.ts";
import { projectRoot } from "../../support/project.ts";

test("the features of each engine", () => {
  const can = (name: EngineName): string => [...engines[name].can].sort().join(" ");
  expect(Object.fromEntries(engineNames.map((name) => [name, can(name)]))).toEqual({
    bwrap:
      "abstractSockets audio command directories environment ids limits network noNetwork privateNetwork privileges " +
      "readOnly seccomp session workingDirectory x11",
    lxc: "command directories environment ids limits network noNetwork seccomp workingDirectory",
    chroot: "abstractSockets command limits network privileges seccomp session",
  });
});

test("each feature's options exist", () => {
  const letters = [...options.map(spelling), ...networks.map((mode) => `--net=${mode}`)];
  for (const { options: needed } of Object.values(features))
    for (const option of needed) expect(letters).toContain(option);
});

test("a feature that an engine lacks is found", () => {
  expect(firstLacking("chroot", ["network", "directories", "environment"])).toBe("directories");
  expect(firstLacking("bwrap", ["network", "directories", "environment"])).toBeUndefined();
});

test("names are exact", () => {
  expect(["bwrap", "lxc", "chroot", "bogus", "", "BWRAP", "constructor"].filter(isEngineName)).toEqual([
    "bwrap",
    "lxc",
    "chroot",
  ]);
});

test("'isolate help engines' prints the table", () => {
  const lines = helpOn(["engines"], 200).split("\n");
  for (const name of Object.keys(features) as FeatureName[]) {
    const able = engineNames.filter((engine) => engines[engine].can.includes(name)).join(", ");
    const line = lines.find((one) => one.startsWith(`  ${features[name].title} `));
    expect(line?.endsWith(`  ${able}`)).toBe(true);
  }
});

test("docs/engines.md has the same table", () => {
  const [section = ""] = readFileSync(join(projectRoot, "docs/engines.md"), "utf8").split("\n## ");
  const rows = section
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const names = Object.keys(features) as FeatureName[];
  const expected = names.map((name) => {
    const { title, options: needed } = features[name];
    const shown = needed.length === 0 ? title : `${title} (${needed.map((option) => `\`${option}\``).join(", ")})`;
    return [shown, ...engineNames.map((engine) => (engines[engine].can.includes(name) ? "yes" : "no"))];
  });
  expect(rows).toEqual([["", ...engineNames], expect.anything(), ...expected]);
});
