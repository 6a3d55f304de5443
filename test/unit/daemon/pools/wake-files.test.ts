import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { pino } from "pino";
import { escapeUnitName } from "../../../../daemon/pools/unit-instance.ts";
import { createSignals } from "../../../../daemon/pools/wake-files.ts";
import { parseTemplateName } from "../../../../protocol/names.ts";

const log = pino({ level: "silent" });
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "isolate-signals-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test.each(["debian", "rpool/isolate/debisl", "a-b/c_d.e:f", "p/x--y/z.-1", "p/my images/_a/-b"])(
  "'%s' as systemd-escape(1) writes it",
  (name) => {
    const template = parseTemplateName(name);
    expect(escapeUnitName(template)).toBe(execFileSync("systemd-escape", [name], { encoding: "utf8" }).trim());
  },
);

test("a file for each template, touched each time, and readable by everybody", () => {
  let now = 1_000_000;
  const touch = createSignals(directory, () => now, log);
  touch(parseTemplateName("p/a-b"));
  const file = join(directory, "signal", "p-a\\x2db");
  expect(statSync(file).mtimeMs).toBe(1_000_000);
  now = 2_000_000;
  touch(parseTemplateName("p/a-b"));
  expect(statSync(file)).toMatchObject({ mtimeMs: 2_000_000, size: 0 });
  expect(statSync(file).mode & 0o777).toBe(0o644);
});

test("nothing is touched through a link, nothing fails, and a name that is too long for a unit makes no file", () => {
  const elsewhere = join(directory, "elsewhere");
  writeFileSync(elsewhere, "");
  const before = statSync(elsewhere).mtimeMs;
  mkdirSync(join(directory, "signal"));
  symlinkSync(elsewhere, join(directory, "signal", "t"));
  const touch = createSignals(directory, () => 5000, log);
  touch(parseTemplateName("t"));
  touch(parseTemplateName(`t${"-".repeat(150)}`));
  expect(statSync(elsewhere).mtimeMs).toBe(before);
  expect(readdirSync(join(directory, "signal"))).toEqual(["t"]);
});

test("a file for each instance that means a template, and none for another", () => {
  const touch = createSignals(directory, () => 1, log);
  touch(parseTemplateName("rpool/isolate/deb-isl"));
  touch(parseTemplateName("my-own"));
  const names = ["rpool-isolate-deb\\x2disl", "deb\\x2disl", "deb-isl", "my\\x2down"];
  expect(readdirSync(join(directory, "signal")).sort()).toEqual(names.sort());
});
