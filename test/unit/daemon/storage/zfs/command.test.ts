/** Several storage pools, one of which does not answer. */
import { expect, jest, test } from "@jest/globals";
import { CommandError } from "../../../../../daemon/linux/child-process.ts";
import { answeringInTime, inTime, ofThoseThere, someAnswered } from "../../../../../daemon/storage/zfs/command.ts";

const list = (names: readonly string[]): string[] => ["list", ...names];
const suspended = new CommandError(["zfs"], 1, "cannot open 'bad/t': pool I/O is currently suspended\n");

test("each pool is asked by itself, and one that fails leaves the others' answers", async () => {
  const zfs = async (args: readonly string[]): Promise<string> => {
    if (args.includes("bad/t")) throw suspended;
    return `${args.slice(1).join(" ")}\n`;
  };
  const answers = await ofThoseThere(zfs, list, ["good/a", "bad/t", "good/b", "other"]);
  expect(answers.output).toBe("good/a good/b\nother\n");
  expect([...answers.silent]).toEqual([["bad", suspended]]);
  expect(someAnswered(answers)).toBe(answers);
  await expect(ofThoseThere(zfs, list, ["bad/t"]).then(someAnswered)).rejects.toBe(suspended);
});

test("a pool that does not answer is given up, and asked again only when it has answered", async () => {
  const asked: string[] = [];
  let answerLate = (_: string): void => {};
  const hanging = new Promise<string>((resolve) => {
    answerLate = resolve;
  });
  const zfs = answeringInTime(async (args) => {
    asked.push(args.join(" "));
    return args.includes("bad/t") && asked.length === 1 ? hanging : "said\n";
  }, 20);
  const silent = { message: "the storage pool 'bad' does not answer; see 'zpool status bad'" };
  await expect(zfs(["list", "bad/t"])).rejects.toMatchObject(silent);
  await expect(zfs(["get", "used", "bad/t@x"])).rejects.toMatchObject(silent);
  expect(await zfs(["list", "good/t"])).toBe("said\n");
  expect(asked).toEqual(["list bad/t", "list good/t"]);
  answerLate("at last\n");
  await new Promise(setImmediate);
  expect(await zfs(["list", "bad/t"])).toBe("said\n");
});

test("what all ask meanwhile is asked once, and not waited for without end", async () => {
  let answer = (_: string): void => {};
  const ask = jest.fn(
    () =>
      new Promise<string>((resolve) => {
        answer = resolve;
      }),
  );
  const pools = inTime(ask, "'zpool list'", 20);
  const refused = expect(pools()).rejects.toThrow("'zpool list' does not answer");
  await expect(pools()).rejects.toThrow("'zpool list' does not answer");
  await refused;
  const later = pools();
  answer("p");
  expect(await later).toBe("p");
  expect(ask).toHaveBeenCalledTimes(1);
});

test("a change is waited for, however long it takes", async () => {
  jest.useFakeTimers();
  try {
    const zfs = answeringInTime(() => new Promise((resolve) => setTimeout(resolve, 60_000, "done")), 20);
    const destroyed = zfs(["destroy", "p/t"]);
    await jest.advanceTimersByTimeAsync(60_000);
    expect(await destroyed).toBe("done");
  } finally {
    jest.useRealTimers();
  }
});
