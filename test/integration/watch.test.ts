/** tools/watch.mjs: a run fails if it starts a program that only happens to be installed on this machine. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { eventually, must, type Outcome, run } from "../support/process.ts";
import { projectRoot } from "../support/project.ts";

const scratch = mkdtempSync(join(tmpdir(), "isolate-watch-test-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const tool = join(projectRoot, "tools/watch.mjs");
const watch = (...words: string[]): Promise<Outcome> => run([process.execPath, tool, ...words]);
const advice = "A machine without it fails here. Name the package in tools/packages.mjs, or do not use the program.\n";

test("programs that the groups name may be started, and the command's exit code is returned", async () => {
  expect(await watch("test", "--", "sh", "-c", "tmux -V; exit 7")).toMatchObject({ code: 7, stderr: "" });
});

test("a program of another group fails the run and is named with its package", async () => {
  const { code, stderr } = await watch("run", "--", "env", "tmux", "-V");
  expect(stderr).toBe(
    "cannot pass: /usr/bin/tmux was started, of the Debian package tmux, which tools/packages.mjs does not name " +
      `(by: env tmux -V)\n${advice}`,
  );
  expect(code).toBe(1);
});

test("each such program is named once, however it was started and however it ended", async () => {
  const script = join(scratch, "script");
  writeFileSync(script, "#!/usr/bin/zsh\ncd /usr/bin\n./strace -V; env -i ./strace -V; exit 0\n", { mode: 0o755 });
  const { code, stderr } = await watch("run", "--", "unshare", "--mount", "--pid", "--fork", script);
  const named = [...stderr.matchAll(/^cannot pass: \S+\/(\S+) was started/gm)].map(([, name]) => name);
  expect(named).toEqual([expect.stringMatching(/^zsh/), "strace"]);
  expect(code).toBe(1);
});

test("keeps the command's exit code if both fail", async () => {
  const { code, stderr } = await watch("run", "--", "sh", "-c", "tmux -V; exit 7");
  expect(stderr).toContain("/usr/bin/tmux was started");
  expect(code).toBe(7);
});

test("a copy in a tree for sandboxes does not count as a program of this machine", async () => {
  const copy = join(scratch, "tmux");
  const { code, stderr } = await watch("run", "--", "sh", "-c", `cp /usr/bin/tmux ${copy} && ${copy} -V`);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

test("programs that others start in the meantime do not count, even in the same session", async () => {
  const [began, end] = [join(scratch, "began"), join(scratch, "end")];
  const running = watch("run", "--", "sh", "-c", `: > ${began}; until test -e ${end}; do sleep 0.1; done`);
  await eventually("the command runs", () => existsSync(began));
  await must(["tmux", "-V"]);
  writeFileSync(end, "");
  expect(await running).toMatchObject({ code: 0, stderr: "" });
});

test("an unknown group, a missing command and a user other than root are refused with an error", async () => {
  expect(await watch("strange", "--", "true")).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^cannot prepare 'strange': the groups are build, /),
  });
  expect(await watch("run")).toMatchObject({ code: 1, stderr: expect.stringMatching(/^cannot watch: usage: /) });
  const user = { uid: 59_991, gid: 59_991, groups: [] };
  expect(await run([process.execPath, tool, "run", "--", "true"], { as: user })).toMatchObject({
    code: 1,
    stderr: "cannot watch which programs are started: only root can\nRun it with sudo.\n",
  });
});
