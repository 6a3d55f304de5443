import { setMaxListeners } from "node:events";
import { afterEach, expect, test } from "@jest/globals";
import { newPool, type PoolState } from "../../../../daemon/pools/pool.ts";
import { createWaiting } from "../../../../daemon/pools/waiting.ts";
import type { CloneRecord } from "../../../../daemon/records/store.ts";
import type { TemplateName } from "../../../../protocol/names.ts";

const [bob, alice, carol] = [1002, 1001, 1003];
let ready: CloneRecord[] = [];
const aborted = new AbortController();
setMaxListeners(0, aborted.signal);
afterEach(() => aborted.abort());

const { serve, take } = createWaiting({
  // The clones of this test have no rows: a lease takes the first one.
  store: { apply: () => ready.shift() } as never,
  preparer: { choose: (clones: readonly CloneRecord[]) => clones[0], leased: () => undefined } as never,
  fresh: () => ready,
  tend: () => undefined,
  hurry: () => undefined,
});

/** Waits as that account, and notes when it is served. */
function wait(pool: PoolState, account: number, order: number[]): void {
  const request = { account, to: {}, lasting: false, lease: () => ({}), wait: 60_000, onWait: () => undefined };
  take(pool, { ...request, signal: aborted.signal } as never).then(
    () => order.push(account),
    () => undefined,
  );
}

/** A clone becomes ready. */
async function made(pool: PoolState, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    ready = [{ id: `clone_${number}` } as never];
    serve(pool);
    await new Promise(setImmediate);
  }
}

test("callers that wait for a clone are served account by account, not in the order in which they asked", async () => {
  const pool = newPool({ template: "debian" as TemplateName, size: 3 });
  const order: number[] = [];
  for (let count = 0; count < 50; count++) wait(pool, bob, order);
  wait(pool, alice, order);
  await made(pool, 3);
  expect(order).toEqual([bob, alice, bob]);
  // A newcomer waits for at most one clone of each other account.
  wait(pool, carol, order);
  wait(pool, alice, order);
  await made(pool, 4);
  expect(order.slice(3)).toEqual([carol, alice, bob, bob]);
});

test("callers of one account are served in the order in which they asked, and one who gave up is not", async () => {
  const pool = newPool({ template: "debian" as TemplateName, size: 3 });
  const served: number[] = [];
  const leaving = new AbortController();
  const request = { account: bob, to: {}, lasting: false, lease: () => ({}), wait: 60_000, onWait: () => undefined };
  const begin = (number: number, signal: AbortSignal): void =>
    void take(pool, { ...request, signal } as never).then(
      () => served.push(number),
      () => undefined,
    );
  begin(1, aborted.signal);
  begin(2, leaving.signal);
  begin(3, aborted.signal);
  leaving.abort();
  await made(pool, 2);
  expect(served).toEqual([1, 3]);
});
