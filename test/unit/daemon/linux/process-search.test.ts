/** The search for processes: its results, and how often each process is read. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "@jest/globals";
import { createProcessSearch, type SeenProcess } from "../../../../daemon/linux/process-search.ts";
import { finished, start } from "../../../support/process.ts";

const uid = 61_177;
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function sleeper(directory: string): Promise<number> {
  const as = { uid, gid: uid, groups: [] };
  const child = start(["sh", "-c", "echo up; exec sleep 1000"], { as, cwd: directory });
  const ended = finished(child, { patience: 600_000 });
  closing.push(() => {
    child.kill("SIGKILL");
    return ended;
  });
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  return child.pid ?? 0;
}

test("sees only the user's processes, with the targets of their directories and descriptors", async () => {
  const directory = mkdtempSync(join(tmpdir(), "isolate-test-"));
  closing.push(async () => rmSync(directory, { recursive: true }));
  const { execFileSync } = await import("node:child_process");
  execFileSync("chmod", ["755", directory]);
  const pid = await sleeper(directory);
  const { search } = createProcessSearch({ slice: 1, rest: 1 });
  const seen: SeenProcess[] = [];
  await search(uid, (one) => seen.push(one));
  expect(seen).toMatchObject([{ pid, uids: [uid, uid, uid, uid] }]);
  expect(seen[0]?.links).toEqual(expect.arrayContaining([directory, "/"]));
});

test("a thousand calls during a walk share one more walk; the event loop goes on meanwhile", async () => {
  const reads = new Map<number, number>();
  let rounds = 0;
  const pid = await sleeper("/");
  const { search } = createProcessSearch({
    slice: 0.1,
    rest: 1,
    onRead: (read) => reads.set(read, (reads.get(read) ?? 0) + 1),
  });
  const timer = setInterval(() => rounds++, 1);
  let seen = 0;
  const count = (): void => void seen++;
  const first = search(uid, count);
  await new Promise((resolve) => setTimeout(resolve, 3));
  await Promise.all([first, ...Array.from({ length: 1000 }, () => search(uid, count))]);
  clearInterval(timer);
  expect(seen).toBe(1001);
  expect(reads.get(pid)).toBe(2);
  expect(Math.max(...reads.values())).toBe(2);
  expect(rounds).toBeGreaterThan(2);
});

test("a caller that throws does not end the walk of others", async () => {
  await sleeper("/");
  const { search } = createProcessSearch({ slice: 1, rest: 1 });
  const fails = search(uid, () => {
    throw new Error("no");
  });
  const counted: number[] = [];
  await Promise.all([expect(fails).rejects.toThrow("no"), search(uid, ({ pid }) => counted.push(pid))]);
  expect(counted).toHaveLength(1);
});

test("a failure is told to all who wait, and the next search works", async () => {
  let fails = true;
  const { search } = createProcessSearch({
    slice: 1,
    rest: 1,
    onRead: () => {
      if (fails) throw new Error("EMFILE");
    },
  });
  const both = [search(uid, () => undefined), search(uid, () => undefined)];
  expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  fails = false;
  await search(uid, () => undefined);
});
