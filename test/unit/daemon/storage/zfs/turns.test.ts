import { expect, test } from "@jest/globals";
import { createTurns } from "../../../../../daemon/storage/zfs/turns.ts";

/** Work that ends when it is told to. */
function work() {
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  return {
    begun,
    ends,
    act: (name: string) => () =>
      new Promise<void>((resolve) => {
        begun.push(name);
        ends.push(resolve);
      }),
  };
}

test("a pool that hangs leaves room for the others", async () => {
  const turn = createTurns(3, 2);
  const { begun, ends, act } = work();
  const hung = ["a", "b", "c"].map((name) => turn("hung", act(name)));
  const others = ["d", "e"].map((name) => turn("good", act(name)));
  await new Promise(setImmediate);
  expect(begun).toEqual(["a", "b", "d"]);
  ends[2]?.();
  await others[0];
  await new Promise(setImmediate);
  expect(begun).toEqual(["a", "b", "d", "e"]);
  ends[0]?.();
  await hung[0];
  await new Promise(setImmediate);
  expect(begun).toEqual(["a", "b", "d", "e", "c"]);
  for (const end of ends) end();
  await Promise.all([...hung, ...others]);
});
