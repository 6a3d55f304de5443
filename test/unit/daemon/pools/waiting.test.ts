import { setMaxListeners } from "node:events";
import { afterAll, expect, test } from "@jest/globals";
import { newPool, type PoolState } from "../../../../daemon/pools/pool.ts";
import { createWaiting } from "../../../../daemon/pools/waiting.ts";
import type { CloneRecord } from "../../../../daemon/records/store.ts";
import type { TemplateName } from "../../../../protocol/names.ts";

const [bob, alice, carol] = [1002, 1001, 1003];
const debian = { template: "debian" as TemplateName, size: 3 };
let ready: CloneRecord[] = [];
const end = new AbortController();
setMaxListeners(0, end.signal);
afterAll(() => end.abort());

const { serve, take } = createWaiting({
  // The clones of this test have no rows: a lease takes the first one.
  store: { apply: () => ready.shift() } as never,
  preparer: { choose: (clones: readonly CloneRecord[]) => clones[0], leased: () => undefined } as never,
  fresh: () => ready,
  tend: () => undefined,
  hurry: () => undefined,
});

/** Waits as that account, and calls `served` when it has a clone. */
function wait(pool: PoolState, account: number, served: () => void, signal = end.signal): void {
  const request = { account, to: {}, lasting: false, lease: () => ({}), wait: 60_000, signal, onWait: () => undefined };
  take(pool, request as never).then(served, () => undefined);
}

/** Clones become ready, one after the other. */
async function made(pool: PoolState, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    ready = [{ id: `clone_${number}` } as never];
    serve(pool);
    await new Promise(setImmediate);
  }
}

test("callers that wait for a clone are served account by account, not in the order in which they asked", async () => {
  const pool = newPool(debian);
  const order: number[] = [];
  const waits = (account: number): void => wait(pool, account, () => order.push(account));
  for (let count = 0; count < 50; count++) waits(bob);
  waits(alice);
  await made(pool, 3);
  expect(order).toEqual([bob, alice, bob]);
  // A newcomer waits for at most one clone of each other account.
  waits(carol);
  waits(alice);
  await made(pool, 4);
  expect(order.slice(3)).toEqual([carol, alice, bob, bob]);
});

test("callers of one account are served in the order in which they asked, and one who gave up is not", async () => {
  const pool = newPool(debian);
  const order: number[] = [];
  const leaving = new AbortController();
  for (const number of [1, 2, 3]) wait(pool, bob, () => order.push(number), number === 2 ? leaving.signal : end.signal);
  leaving.abort();
  await made(pool, 2);
  expect(order).toEqual([1, 3]);
});
