import { describe, expect, test } from "@jest/globals";
import { destroyBackoff, type PoolFacts, plan, refillBackoff } from "../../../../daemon/pools/plan.ts";
import type { CloneId, SnapshotName } from "../../../../protocol/names.ts";

const now = "t@2" as SnapshotName;
const before = "t@1" as SnapshotName;
const clone = (made: number, snapshot = now) => ({ id: `c${made}` as CloneId, snapshot, made: BigInt(made) });
const pool = (change: Partial<PoolFacts>): PoolFacts => ({
  size: 3,
  waiting: 0,
  latest: now,
  freshAfter: 0n,
  creating: 0,
  backingOff: false,
  failing: false,
  ready: [],
  ...change,
});

describe("refill", () => {
  test("an empty pool is filled to its size", () => expect(plan(pool({}))).toEqual({ create: 3, reclaim: [] }));
  test("clones that are being made count", () => expect(plan(pool({ creating: 2 })).create).toBe(1));
  test("each waiting caller gets an additional one", () =>
    expect(plan(pool({ size: 0, waiting: 4, creating: 1 })).create).toBe(3));
  test("a full pool is left alone", () => {
    expect(plan(pool({ ready: [clone(1), clone(2), clone(3)] }))).toEqual({ create: 0, reclaim: [] });
  });
  test("nothing is made while a failure is fresh", () => expect(plan(pool({ backingOff: true })).create).toBe(0));
  test("after a failure one is tried before the others", () => {
    expect(plan(pool({ failing: true, waiting: 5 })).create).toBe(1);
    expect(plan(pool({ failing: true, waiting: 5, creating: 1 })).create).toBe(0);
    expect(plan(pool({ failing: true, ready: [clone(1), clone(2), clone(3)] })).create).toBe(0);
  });
  test("nothing is made without a snapshot", () => expect(plan(pool({ latest: null, waiting: 1 })).create).toBe(0));
});

describe("a new snapshot", () => {
  const stale = [clone(3, before), clone(1, before), clone(2, before)];
  test("empties no pool: stale clones stay until there are fresh ones", () => {
    expect(plan(pool({ ready: stale }))).toEqual({ create: 3, reclaim: [] });
  });
  test("each fresh clone replaces one stale clone, the oldest first", () => {
    expect(plan(pool({ ready: [...stale, clone(7)] })).reclaim).toEqual(["c1"]);
    expect(plan(pool({ ready: [...stale, clone(7), clone(8)] })).reclaim).toEqual(["c1", "c2"]);
  });
  test("-f makes clones of the same snapshot stale as well", () => {
    expect(plan(pool({ ready: [clone(1), clone(2), clone(3)], freshAfter: 3n })).create).toBe(2);
  });
  test("whose lookup failed reclaims nothing", () => {
    expect(plan(pool({ latest: null, ready: [clone(1), clone(2)] })).reclaim).toEqual([]);
  });
});

describe("a smaller size", () => {
  const ready = [clone(5), clone(4), clone(6, before)];
  test("takes the stale one first, then the oldest", () => {
    expect(plan(pool({ size: 1, ready })).reclaim).toEqual(["c6", "c4"]);
  });
  test("takes no fresh one while a caller waits", () => {
    expect(plan(pool({ size: 0, waiting: 1, ready })).reclaim).toEqual(["c6"]);
  });
});

test("consecutive failures wait twice as long each time, at most a minute", () => {
  expect([0, 1, 2, 3, 50].map(refillBackoff)).toEqual([0, 500, 1000, 2000, 60_000]);
});

test("a busy clone is retried soon, then rarely", () => {
  expect([0, 1, 2, 50].map(destroyBackoff)).toEqual([20, 40, 80, 30_000]);
});
