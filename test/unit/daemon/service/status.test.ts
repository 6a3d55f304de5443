import { expect, test } from "@jest/globals";
import { describeStatus, type PoolStatus } from "../../../../daemon/service/status.ts";

const pool = (template: string, change: Partial<PoolStatus> = {}): PoolStatus => ({
  template,
  size: 5,
  ready: 5,
  leased: 0,
  failed: 0,
  ...change,
});

test("one pool", () => {
  expect(describeStatus([pool("rpool/isolate/debisl", { leased: 2 })], undefined)).toBe("5/5 ready debisl, 2 leased");
});

test("several: zero counts are omitted, and equal last names are told apart", () => {
  const pools = [pool("a/x", { ready: 4, failed: 1 }), pool("b/x"), pool("c")];
  expect(describeStatus(pools, undefined)).toBe("4/5 ready a/x, 1 failed; 5/5 ready b/x; 5/5 ready c");
});

test("none", () => expect(describeStatus([], undefined)).toBe("no templates yet"));

test("a rejected configuration, on one line", () => {
  expect(describeStatus([pool("c")], "line 3:\n  unknown key")).toBe("5/5 ready c; not reloaded: line 3: unknown key");
});
