/** `npm pack`: the archive contains exactly the files that its programs need. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { must } from "../support/process.ts";
import { projectRoot } from "../support/project.ts";

test("contains the programs, the files beside them, and every page and program that package.json names", async () => {
  const command = ["npm", "pack", "--dry-run", "--json", "--ignore-scripts"];
  // Written while the archive is built.
  await must(["node", "dist/js/tools/docs/main.js", "dist/docs"], { cwd: projectRoot });
  await must(["node", "tools/licences.mjs", "dist/docs/notices.txt"], { cwd: projectRoot });
  const [packed] = JSON.parse(await must(command, { cwd: projectRoot })) as {
    files: { path: string; mode: number }[];
  }[];
  const { bin, man } = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as {
    bin: Record<string, string>;
    man: string[];
  };
  const paths = packed?.files.map(({ path }) => path) ?? [];
  expect(paths).toEqual(
    expect.arrayContaining([
      ...Object.values(bin),
      ...man,
      "dist/bin/isolate-init",
      "dist/bin/isolate-client",
      "dist/bin/isolate-monitor",
      "LICENSE",
      "dist/docs/notices.txt",
      "systemd/isolated.service",
    ]),
  );
  expect(paths.filter((path) => /^(test|daemon|client|node_modules|dist\/(js|native|package))\//.test(path))).toEqual(
    [],
  );
});
