import { expect, test } from "@jest/globals";
import { spelling } from "../../../client/arguments.ts";
import { options } from "../../../client/cli.ts";
import { capabilities, engineNames, engines, firstLacking, isEngineName } from "../../../engines/capabilities.ts";

test("what each engine can", () => {
  expect(Object.fromEntries(engineNames.map((name) => [name, engines[name].can]))).toEqual({
    bwrap: ["command", "environment", "directories", "workingDirectory", "network", "seccomp", "limits"],
    lxc: ["command", "environment", "directories", "workingDirectory", "network", "seccomp", "limits"],
    chroot: ["command", "network", "seccomp", "limits"],
  });
});

test("each capability's options exist", () => {
  const letters = options.map(spelling);
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
