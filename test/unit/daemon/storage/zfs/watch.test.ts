import { expect, jest, test } from "@jest/globals";
import { CommandError } from "../../../../../daemon/linux/child-process.ts";
import { createWatch, isChange, sightOf } from "../../../../../daemon/storage/zfs/watch.ts";
import type { TemplateName } from "../../../../../protocol/names.ts";

const template = "p/t" as TemplateName;

test("the same second seen again is not a change if it was over", () => {
  const over = sightOf(100, 102_000);
  expect(isChange(over, sightOf(100, 104_000))).toBe(false);
  expect(isChange(over, sightOf(103, 104_000))).toBe(true);
});

test("a second snapshot within the second of the first one is not lost", () => {
  const justNow = sightOf(100, 100_400);
  expect(isChange(justNow, sightOf(100, 102_400))).toBe(true);
  expect(isChange(sightOf(100, 102_400), sightOf(100, 104_400))).toBe(false);
});

test("the first check is a change", () => {
  expect(isChange(undefined, sightOf(0, 104_000))).toBe(true);
});

/** Answers each check in turn, and repeats the last answer. */
function watched(answers: readonly (string | CommandError)[], rounds: number) {
  const left = [...answers];
  const commands: (readonly string[])[] = [];
  let ended = () => {};
  const done = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const zfs = async (args: readonly string[]) => {
    commands.push(args);
    if (commands.length >= rounds) setImmediate(ended);
    const answer = (left.length > 1 ? left.shift() : left[0]) ?? "";
    if (answer instanceof CommandError) throw answer;
    return answer;
  };
  const warn = jest.fn();
  const changed = jest.fn();
  const watch = createWatch({ zfs, now: () => 1_000_000, interval: 1, warn });
  // The timers do not keep the process alive, so something else must while the test waits.
  const keep = setInterval(() => {}, 1000);
  const stop = watch(() => [template], changed);
  return {
    commands,
    warn,
    changed,
    end: async () => {
      await done;
      stop();
      clearInterval(keep);
    },
  };
}

test("reports each change once", async () => {
  const { changed, end } = watched(["p/t\t100\n", "p/t\t100\n", "p/t\t900\n", "p/t\t900\n"], 6);
  await end();
  expect(changed.mock.calls).toEqual([[template], [template]]);
});

test("continues after a failure, and reports consecutive failures once", async () => {
  const failure = new CommandError(["zfs", "list"], 1, "cannot open '/dev/zfs': no\n");
  const { changed, warn, end } = watched([failure, failure, "p/t\t100\n"], 5);
  await end();
  expect(warn).toHaveBeenCalledTimes(1);
  expect(changed).toHaveBeenCalledTimes(1);
});

test.each([
  ["destroyed or renamed", "cannot open 'p/t': dataset does not exist\n", 0],
  ["in a pool that is suspended", "cannot open 'p/t': pool I/O is currently suspended\n", 1],
])("tells of a template that is %s since, once", async (_, stderr, warnings) => {
  const gone = new CommandError(["zfs", "list"], 1, stderr);
  const { changed, warn, end } = watched(["p/t\t100\n", gone, gone, "p/t\t100\n"], 7);
  await end();
  expect(changed).toHaveBeenCalledTimes(3);
  expect(warn).toHaveBeenCalledTimes(warnings);
});

test("tells once of a template that was renamed before the first check", async () => {
  const { changed, end } = watched(
    [new CommandError(["zfs", "list"], 1, "cannot open 'p/t': dataset does not exist\n")],
    4,
  );
  await end();
  expect(changed).toHaveBeenCalledTimes(1);
});

test("a callback that throws does not end the watch", async () => {
  const { changed, warn, end } = watched(["p/t\t100\n", "p/t\t200\n"], 5);
  changed.mockImplementationOnce(() => {
    throw new Error("not now");
  });
  await end();
  expect(changed).toHaveBeenCalledTimes(2);
  expect(warn).toHaveBeenCalledTimes(1);
});

test("without the property it checks the snapshots", async () => {
  const old = new CommandError(["zfs", "list"], 2, "bad property list: invalid property 'snapshots_changed'\n");
  const { changed, commands, end } = watched([old, "p/t@a\t11\n", "p/t@a\t11\n", "p/t@a\t11\np/t@b\t12\n"], 6);
  await end();
  expect(changed).toHaveBeenCalledTimes(2);
  expect(commands.slice(1).every((args) => args.includes("name,guid"))).toBe(true);
});

test("runs no command while there are no templates", async () => {
  const zfs = jest.fn(async () => "");
  const stop = createWatch({ zfs, now: Date.now, interval: 1, warn: () => {} })(() => [], jest.fn());
  await new Promise((resolve) => setTimeout(resolve, 30));
  stop();
  expect(zfs).not.toHaveBeenCalled();
});
