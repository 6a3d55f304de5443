/** An interrupted bench removes everything that it made. */
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { eventually, finished, start } from "../support/process.ts";
import { projectRoot } from "../support/project.ts";
import { mountsBelow } from "../support/world.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "isolate-test-"));
  chmodSync(directory, 0o711); // members need to traverse it to reach the socket
});
afterEach(() => rmSync(directory, { recursive: true }));

test.each(["SIGINT", "SIGTERM"] as const)("leaves nothing mounted, running or on disk after %s", async (signal) => {
  const script = join(projectRoot, "dist/js/test/bench/main.js");
  const bench = start([process.execPath, script, "--short"], { env: { TMPDIR: directory } });
  const end = finished(bench);
  try {
    const runtime = await eventually("the daemon runs", () => runtimeDirectory());
    await eventually("it has a user's view", () => existsSync(join(runtime, "users/61101")));
    bench.kill(signal);
    expect((await end).code).toBe(signal === "SIGINT" ? 130 : 143);
    expect(readdirSync(directory)).toEqual([]);
    expect([...mountsBelow(directory), ...mountsBelow(runtime)]).toEqual([]);
    expect(existsSync(runtime)).toBe(false);
    expect(commandLines().filter((line) => line.includes(directory))).toEqual([]);
  } finally {
    bench.kill("SIGTERM");
    await end;
  }
});

/** The bench's daemon; `undefined` until it runs. */
function runtimeDirectory(): string | undefined {
  for (const outer of readdirSync(directory)) {
    const disk = join(directory, outer, "disk");
    for (const world of existsSync(disk) ? readdirSync(disk).filter((name) => name.startsWith("isolate-")) : []) {
      const file = join(disk, world, "isolated.toml");
      const text = existsSync(file) ? readFileSync(file, "utf8") : "";
      const found = /^runtime_dir = "(.*)"$/m.exec(text)?.[1];
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function commandLines(): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      return /^[0-9]+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : [];
    } catch {
      return []; // it has ended in the meantime
    }
  });
}
