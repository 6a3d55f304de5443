import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { fillMachineId } from "../../../../daemon/storage/machine-id.ts";

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "isolate-machine-id-"));
  mkdirSync(join(scratch, "root/etc"), { recursive: true });
});
afterEach(() => rmSync(scratch, { recursive: true }));

function filled(content: string): string {
  const file = join(scratch, "root/etc/machine-id");
  writeFileSync(file, content);
  fillMachineId(join(scratch, "root"));
  return readFileSync(file, "utf8");
}

test.each(["", "\n", "uninitialized\n", "uninitialized"])("%j becomes an id, a different one each time", (content) => {
  const ids = [filled(content), filled(content)];
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}\n$/);
  expect(ids[0]).not.toBe(ids[1]);
});

test.each(["0123456789abcdef0123456789abcdef\n", "something else\n"])("%j stays", (content) => {
  expect(filled(content)).toBe(content);
});

test("no link is followed, and no file is created", () => {
  const victim = join(scratch, "victim");
  writeFileSync(victim, "");
  const link = join(scratch, "root/etc/machine-id");
  fillMachineId(join(scratch, "root"));
  symlinkSync(victim, link);
  fillMachineId(join(scratch, "root"));
  rmSync(link);
  linkSync(victim, link);
  fillMachineId(join(scratch, "root"));
  rmSync(join(scratch, "root/etc"), { recursive: true });
  mkdirSync(join(scratch, "elsewhere"));
  writeFileSync(join(scratch, "elsewhere/machine-id"), "");
  symlinkSync("../elsewhere", join(scratch, "root/etc"));
  fillMachineId(join(scratch, "root"));
  fillMachineId(join(scratch, "absent"));
  expect(readFileSync(victim, "utf8") + readFileSync(join(scratch, "elsewhere/machine-id"), "utf8")).toBe("");
});
