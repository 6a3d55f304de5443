/** Which request is next: counts and order, with the test's own clock. */
import { setImmediate } from "node:timers/promises";
import { beforeEach, expect, test } from "@jest/globals";
import { createTurns, type Turns } from "../../../../daemon/http/turns.ts";

const options = { atATime: 2, perSecond: 10, together: 4 };
let now: number;
let turns: Turns;
let begun: string[];
let answered: (() => void)[];

beforeEach(() => {
  now = 0;
  begun = [];
  answered = [];
  turns = createTurns({ ...options, clock: () => now });
});

const ask = (uid: number, name: string): void =>
  turns.answer(uid, (done) => {
    begun.push(name);
    answered.push(done);
  });
const rounds = async (count: number): Promise<void> => {
  for (let round = 0; round < count; round++) await setImmediate();
};

test("an account's first request starts in the same call, the next one in another round", async () => {
  ask(1, "a");
  ask(1, "b");
  expect(begun).toEqual(["a"]);
  ask(2, "c");
  expect(begun).toEqual(["a", "c"]);
  await rounds(2);
  expect(begun).toEqual(["a", "c", "b"]);
});

test("a limited number of an account's requests run, and others and root do not wait for them", async () => {
  for (const name of ["a", "b", "c", "d"]) ask(1, name);
  await rounds(9);
  expect(begun).toEqual(["a", "b"]);
  ask(2, "e");
  for (const name of ["r", "s", "t"]) ask(0, name);
  expect(begun).toEqual(["a", "b", "e", "r", "s", "t"]);
  answered[0]?.();
  await rounds(2);
  expect(begun.at(-1)).toBe("c");
});

test("an answer whose end is reported twice makes room for one request, not for two", async () => {
  for (const name of ["a", "b", "c", "d"]) ask(1, name);
  await rounds(9);
  answered[0]?.();
  answered[0]?.();
  await rounds(9);
  expect(begun).toEqual(["a", "b", "c"]);
});

test("a lease does not wait for answers of the same account that take long", async () => {
  for (const name of ["a", "b", "c"]) ask(1, name);
  void turns.lease(1).then(() => begun.push("lease"));
  await rounds(9);
  expect(begun).toEqual(["a", "lease", "b"]);
});

test("a limited number of an account's requests start per second, including refused leases", async () => {
  for (let count = 0; count < 9; count++) {
    turns.answer(1, (done) => {
      begun.push("answer");
      done();
    });
  }
  await rounds(20);
  expect(begun).toHaveLength(options.together);
  now += 100; // and the timer of the first waiting request fires
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect(begun).toHaveLength(options.together + 1);

  let leases = 0;
  for (let count = 0; count < 4; count++) {
    await turns.lease(3);
    leases++;
    turns.refused(3);
  }
  void turns.lease(3).then(() => leases++);
  await rounds(9);
  expect(leases).toBe(4);
});

test("leases that are granted cost nothing", async () => {
  for (let count = 0; count < 50; count++) await turns.lease(1);
  ask(1, "a");
  await rounds(2);
  expect(begun).toEqual(["a"]);
});
