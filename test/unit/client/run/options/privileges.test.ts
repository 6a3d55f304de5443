import { describe, expect, test } from "@jest/globals";
import { choosePrivileges } from "../../../../../client/run/options/privileges.ts";
import { usualCapabilities as usual } from "../../../../../client/run/plan.ts";

const choose = (add: string[], drop: string[]) => choosePrivileges({ add, drop }, usual);

describe("within the usual capabilities", () => {
  test("a dropped capability is missing, in any spelling", () => {
    for (const name of ["CAP_KILL", "kill", "Kill", "cap_kill"]) {
      const { capabilities, inner } = choose([], [name]);
      expect(inner).toBeUndefined();
      expect([...capabilities].sort()).toEqual(usual.filter((one) => one !== "CAP_KILL").sort());
    }
  });

  test("dropping ALL leaves the added ones, in the kernel's order", () => {
    expect(choose([], ["all"])).toEqual({ capabilities: [], inner: undefined });
    expect(choose(["setuid", "chown"], ["ALL"])).toEqual({
      capabilities: ["CAP_CHOWN", "CAP_SETUID"],
      inner: undefined,
    });
  });

  test("adding a usual capability changes nothing", () => {
    expect(choose(["chown", "CHOWN"], ["sys_admin"])).toMatchObject({ inner: undefined });
    expect(new Set(choose(["chown"], []).capabilities)).toEqual(new Set(usual));
  });
});

describe("beyond the usual capabilities", () => {
  const mask = (add: string[], drop: string[] = []) => BigInt(`0x${choose(add, drop).inner}`);

  test("the sandbox's namespace has exactly the usual ones", () => {
    for (const changes of [choose(["ALL"], []), choose(["SYS_ADMIN"], ["ALL"]), choose(["NET_ADMIN"], ["KILL"])])
      expect(changes).toEqual({ capabilities: usual, inner: expect.any(String) });
  });

  test("the command gets exactly the mask", () => {
    expect(mask(["ALL"])).toBe((1n << 41n) - 1n);
    expect(mask(["sys_admin"], ["ALL"])).toBe(1n << 21n);
    expect(mask(["ALL"], ["sys_admin"])).toBe(((1n << 41n) - 1n) & ~(1n << 21n));
    expect(mask(["CHECKPOINT_RESTORE", "net_admin"], ["ALL"])).toBe((1n << 40n) | (1n << 12n));
  });
});

test("a capability that a private network forbids is refused, not ignored", () => {
  expect(() => choosePrivileges({ add: ["net_raw"], drop: ["ALL"] }, usual, "private")).toThrow(
    "--cap-add NET_RAW and --net=private contradict each other",
  );
  expect(choosePrivileges({ add: ["NET_RAW"], drop: [] }, usual, "host").capabilities).toContain("CAP_NET_RAW");
});

test.each([
  [["x"], [], "--cap-add needs the name of a capability, such as NET_ADMIN, or ALL, not 'x'"],
  [[], [""], "--cap-drop needs the name of a capability"],
  [["CAP_"], [], "not 'CAP_'"],
  [["cap_cap_kill"], [], "not 'cap_cap_kill'"],
  [["KILL,CHOWN"], [], "not 'KILL,CHOWN'"],
  [["12"], [], "not '12'"],
  [["kill"], ["CAP_KILL"], "--cap-add KILL and --cap-drop KILL contradict each other"],
  [["all"], ["ALL"], "--cap-add ALL and --cap-drop ALL contradict each other"],
] as const)("add %j and drop %j is a mistake", (add, drop, sentence) => {
  expect(() => choose([...add], [...drop])).toThrow(sentence);
});
