import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { projectRoot } from "../../support/project.ts";

const { refusals } = await import(join(projectRoot, "tools/licences.mjs"));
const refused = (...licences: string[]): string[] => refusals([{ name: "it", licences, where: "there" }]);

test.each([["MIT"], ["(MIT OR GPL-3.0-only)"], ["MIT AND ISC"], ["BSD-3-clause"]])("%s is allowed", (licence) => {
  expect(refused(licence)).toEqual([]);
});

test.each([["GPL-3.0-only"], ["MIT AND GPL-3.0-only"], ["SEE LICENSE IN FILE"], ["UNLICENSED"]])(
  "%s is refused, and the sentence names the part and the file with the allowed licences",
  (licence) => {
    expect(refused("MIT", licence)).toEqual([
      `cannot pass: it has the licence ${licence} (there), which tools/licences.mjs does not allow: remove the part, or allow it there`,
    ]);
  },
);

test("a part without a licence is refused", () => {
  expect(refused()).toEqual([expect.stringMatching(/^cannot pass: it names no licence \(there\)/)]);
});
