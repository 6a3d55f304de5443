import { describe, expect, test } from "@jest/globals";
import { parseConfig } from "../../../daemon/config.ts";

const refusal = (text: string): string => {
  try {
    parseConfig(text, "isolated.toml");
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("the file was accepted");
};

test("an empty file means all defaults", () => {
  expect(parseConfig("", "f")).toEqual({
    group: "isolate",
    socket: "/run/isolate/isolated.sock",
    state_dir: "/var/lib/isolate",
    runtime_dir: "/run/isolate",
    log_level: "info",
    lease_log: { days: 90, entries: 100_000, commands: "program" },
    on_demand: false,
    limits: { leases_per_user: 64 },
    pool: { size: 5, refill_concurrency: 4 },
    ids: { subuid: "/etc/subuid", subgid: "/etc/subgid", base: 0x70000000 },
    zfs: { refquota: "none" },
    template: [],
  });
});

test("templates are a list of tables", () => {
  const { template } = parseConfig(
    '[[template]]\nname = "rpool/isolate/debisl"\nsize = 2\nusers = ["ann", 1001]\n',
    "f",
  );
  expect(template).toEqual([{ name: "rpool/isolate/debisl", size: 2, users: ["ann", 1001] }]);
});

describe("an error names the line and the allowed values", () => {
  test.each([
    [
      "an unknown key",
      '# c\nsocket = "/s"\nsokcet = "/t"\n',
      "line 3: unknown key 'sokcet'; the keys here are group, socket, state_dir",
    ],
    [
      "an unknown key in a table",
      "[pool]\nsize = 3\nsise = 4\n",
      "line 3: unknown key 'sise'; the keys here are size, refill_concurrency",
    ],
    ["an unknown table", "\n[pols]\nsize = 3\n", "line 2: unknown key 'pols'"],
    ["a wrong type", '[limits]\n\nleases_per_user = "many"\n', "line 3: 'limits.leases_per_user' must be integer"],
    ["a value out of range", "[pool]\nsize = 101\n", "line 2: 'pool.size' must be <= 100"],
    ["a word that is not one of a few", 'log_level = "loud"\n', `line 1: 'log_level' must be "trace" or "debug"`],
    ["a relative path", 'state_dir = "var"\n', "line 1: 'state_dir' must be an absolute path"],
    [
      "in the second template",
      '[[template]]\nname = "a"\n[[template]]\nname = "b"\nsize = -1\n',
      "line 5: 'template.1.size' must be >= 0",
    ],
    [
      "a template without a name",
      '[[template]]\nname = "a"\n[[template]]\nsize = 1\n',
      "line 3: 'template.1' has no 'name'",
    ],
    ["an inline table", "pool = { size = 3, sise = 4 }\n", "line 1: unknown key 'sise'"],
    ["not TOML", "group = = 1\n", "line 1: not TOML"],
    ["the same key twice", 'group = "a"\ngroup = "b"\n', "line 2: not TOML"],
  ])("%s", (_what, text, expected) => expect(refusal(text)).toContain(`isolated.toml, ${expected}`));
});
