import { describe, expect, test } from "@jest/globals";
import { canBeTaken } from "../../../../client/run/base-ids.ts";

describe("ids that host users have or can take on:", () => {
  const subuid = "ann:100000:65536\n# nobody\nbob:300000:1\n\n";
  test.each([
    [1000, true],
    [65535, true],
    [65536, true], // up to ann's
    [165535, true],
    [165536, false],
    [234464, false],
    [234465, true], // up to bob's
    [300000, true],
    [300001, false],
  ])("%d: %s", (base, taken) => {
    expect(canBeTaken(base, subuid)).toBe(taken);
  });
});
