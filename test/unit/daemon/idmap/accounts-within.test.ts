import { describe, expect, test } from "@jest/globals";
import { createAccountWithin } from "../../../../daemon/idmap/accounts-within.ts";
import { createIdsHealth } from "../../../../daemon/idmap/ids-health.ts";
import { run } from "../../../../daemon/linux/child-process.ts";
import { getent } from "../../../../daemon/service/accounts.ts";
import { telltaleIds } from "../../../../protocol/accounts.ts";

const first = 0x70000000;

/**
 * getent(1) of a host with these lines: `files` are the host's own, the others are a directory's, which cannot be
 * listed.
 */
function host(files: Record<string, string>, directory: Record<string, string> = {}) {
  const asked: string[] = [];
  const answer = async (args: readonly string[]): Promise<string> => {
    asked.push(args.join(" "));
    if (args[0] === "-s") return files[args[2] ?? ""] ?? "";
    const [database = "", , ...keys] = args;
    const lines = `${files[database] ?? ""}${directory[database] ?? ""}`.split("\n");
    return lines.filter((line) => keys.includes(line.split(":")[2] ?? "")).join("\n");
  };
  return { asked, answer };
}

test("no account has the ids", async () => {
  const { answer } = host({ passwd: "root:x:0:0::/root:/bin/sh\n+::::::\nx:y\n", group: "root:x:0:\n" });
  expect(await createAccountWithin(answer, () => 0)(first)).toBeUndefined();
});

test.each([0, 12_345, 65_535])("an account in the host's files is found at every offset: %i", async (offset) => {
  const line = (id: number) => `ann:x:${id}:100::/:/bin/sh\n`;
  const within = (id: number) => createAccountWithin(host({ passwd: line(id) }).answer, () => 0)(first);
  expect(await within(first + offset)).toBe(`the user 'ann' (${first + offset})`);
  expect(await within(first - 1)).toBeUndefined();
  expect(await within(first + 65_536)).toBeUndefined();
});

test("a group is found as well", async () => {
  const { answer } = host({ group: `staff:x:${first + 77}:ann\n` });
  expect(await createAccountWithin(answer, () => 0)(first)).toBe(`the group 'staff' (${first + 77})`);
});

describe("a directory service is asked for", () => {
  const found = (database: string, id: number, start = first) =>
    createAccountWithin(host({}, { [database]: `ann:x:${id}:\n` }).answer, () => 0)(start);

  test.each([0, 1, 1000, 65_535])("the edges and some ids between: %i", async (offset) => {
    expect(await found("passwd", first + offset)).toBe(`the user 'ann' (${first + offset})`);
    expect(await found("group", first + offset)).toBe(`the group 'ann' (${first + offset})`);
  });

  test("ids at the start of a domain's slice, even if the range is a later part of it", async () => {
    // Domain Users, and the administrator of Active Directory; the first of FreeIPA.
    const slice = 1_885_400_000;
    for (const id of [slice + 513, slice + 500, slice]) {
      expect(await found("group", id, slice + 100_000)).toBe(`the group 'ann' (${id})`);
      expect(await found("group", id, slice + 200_000)).toBeUndefined();
    }
  });

  test("few, and each a valid id", () => {
    for (const start of [first, 0x7ffd0000, 4_294_901_759]) {
      const ids = telltaleIds(start);
      expect(ids.length).toBeLessThan(40);
      expect(new Set(ids).size).toBe(ids.length);
      for (const id of ids) expect(id >= start - 200_000 && id < 4_294_967_295).toBe(true);
    }
  });
});

test("an answer is cached for a minute, also while it is pending; a failure is not", async () => {
  let now = 0;
  const { answer, asked } = host({});
  const within = createAccountWithin(answer, () => now);
  await Promise.all([within(first), within(first)]);
  now = 59_999;
  await within(first);
  expect(asked).toHaveLength(4);
  now = 60_000;
  await within(first);
  expect(asked).toHaveLength(8);

  let fails = true;
  const flaky = createAccountWithin(
    async () => {
      if (fails) throw new Error("getent did not answer within 10 s");
      return "";
    },
    () => 0,
  );
  await expect(flaky(first)).rejects.toThrow(
    "cannot serve on this host: it is unknown whether accounts have the ids from 1879048192 to 1879113727 (ids.base): getent did not answer within 10 s",
  );
  fails = false;
  expect(await flaky(first)).toBeUndefined();
});

test("this host's own getent(1) answers", async () => {
  expect(await getent(["passwd", "--", "0", "4294967294"])).toMatch(/^root:[^\n]*\n$/);
  expect(await getent(["passwd", "--", "4294967294"])).toBe("");
  expect(await getent(["-s", "files", "group"])).toMatch(/^root:/m);
  await expect(getent(["nothing"])).rejects.toThrow();
});

describe("the doctor is told", () => {
  const health = (parts: Partial<Parameters<typeof createIdsHealth>[0]>) =>
    createIdsHealth({
      base: first,
      given: () => new Map(),
      reserved: () => [],
      accountWithin: async () => undefined,
      ...parts,
    });
  const fix = "set ids.base in isolated.toml to unused ids, and restart the daemon";
  const taken = async (start: number) => (start === first + 65_536 ? "the user 'ann' (7)" : undefined);

  test("without a problem", async () => {
    expect(await health({})(0)).toEqual({ base: first, wrong: null, fix: null });
  });

  test("of an account with ids of an allocated range, and of the range that would be next", async () => {
    const given = () =>
      new Map([
        [1000, first],
        [1001, first + 65_536],
      ]);
    const wrong = `the range of user 1001 from ${first + 65_536} (ids.base) on contains ids of accounts: there is the user 'ann' (7)`;
    expect(await health({ given, accountWithin: taken })(0)).toEqual({ base: first, wrong, fix });
    expect(await health({ given, accountWithin: taken })(1000)).toEqual({ base: first, wrong: null, fix: null });
    expect(await health({ base: first + 65_536, accountWithin: taken })(5)).toMatchObject({ fix });
  });

  test("of a reserved base, and of a directory that does not answer", async () => {
    const reserved = () => [{ first, last: first, what: "somebody gives them" }];
    expect(await health({ reserved })(0)).toMatchObject({ wrong: expect.stringMatching(/^ids.base is/), fix });
    const silent = createAccountWithin(
      () => Promise.reject(new Error("no answer")),
      () => 0,
    );
    expect(await health({ accountWithin: silent })(0)).toMatchObject({ wrong: expect.stringContaining("no answer") });
  });
});

test("a directory service that does not answer is waited for only a limited time", async () => {
  const asked = run("sh", ["-c", "echo half; exec sleep 1000"], { patience: 50 });
  await expect(asked).rejects.toThrow("sh did not answer within 0.05 s");
});
