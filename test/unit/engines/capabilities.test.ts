import { expect, test } from "@jest/globals";
import { options } from "../../../client/cli.ts";
import { capabilities, engineNames, engines, firstLacking, isEngineName } from "../../../engines/capabilities.ts";
import { engineOf } from "../../../engines/index.ts";

test("what each engine can", () => {
  expect(Object.fromEntries(engineNames.map((name) => [name, engines[name].can]))).toEqual({
    bwrap: ["command", "environment", "directories", "workingDirectory", "network"],
    lxc: ["command", "environment", "directories", "workingDirectory", "network"],
    chroot: ["command", "network"],
  });
});

test("an engine is there exactly when the table says so", () => {
  for (const name of engineNames) expect(engineOf(name) !== undefined).toBe(engines[name].available);
});

test("each capability's options exist", () => {
  const letters = options.map(({ short }) => `-${short}`);
  for (const { options: needed } of Object.values(capabilities))
    for (const option of needed) expect(letters).toContain(option);
});

test("what an engine lacks is found", () => {
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
