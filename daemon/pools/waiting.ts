/** Leases clones to callers, account by account in turn, and lets them wait while there is none. */
import { IsolateError } from "../../protocol/errors.ts";
import type { CloneRecord, Store } from "../records/store.ts";
import type { PoolState, TakeRequest, Waiter } from "./pool.ts";
import type { Preparer } from "./prepare.ts";

export interface WaitingOptions {
  readonly store: Store;
  readonly preparer: Preparer;
  readonly fresh: (pool: PoolState) => readonly CloneRecord[];
  readonly tend: (pool: PoolState) => void;
  /** Called for a pool that somebody waits for. */
  readonly hurry: (pool: PoolState) => void;
}

/** Milliseconds from a lease to the start of a replacement clone, while others are ready. */
const refillDelay = 10;

export function createWaiting({ store, preparer, fresh, tend, hurry }: WaitingOptions) {
  let turns = 0;

  /** Grants ready clones to waiters until either runs out. */
  function serve(pool: PoolState): void {
    for (let waiter = nextWaiter(pool); waiter; waiter = nextWaiter(pool)) {
      const clone = preparer.choose(fresh(pool), waiter.request.to);
      if (!clone) return;
      pool.waiters.delete(waiter);
      if (pool.waiters.size === 0) pool.served.clear();
      else pool.served.set(waiter.request.account, ++turns);
      try {
        waiter.grant(store.apply(clone.id, "lease", { lease: waiter.request.lease(clone.id) }));
        if (waiter.request.lasting) preparer.leased(pool.settings.template, waiter.request.to);
      } catch (error) {
        waiter.refuse(error);
      }
    }
  }

  /** Delays the next clone, whose making would take the processor from the lessee's start. */
  function refillSoon(pool: PoolState): void {
    if (pool.refill) return;
    pool.refill = setTimeout(() => {
      pool.refill = null;
      tend(pool);
    }, refillDelay);
    pool.refill.unref();
  }

  /**
   * Resolves with a leased clone. Throws `wait-timeout`, the refusal of the waiter, and on abort the signal's reason.
   */
  function take(pool: PoolState, request: TakeRequest): Promise<CloneRecord> {
    const { template } = pool.settings;
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const settle = (): void => {
        clearTimeout(timer);
        request.signal.removeEventListener("abort", abort);
        pool.waiters.delete(waiter);
      };
      const waiter: Waiter = {
        request,
        grant(record) {
          settle();
          resolve(record);
        },
        refuse(error) {
          settle();
          reject(error);
        },
      };
      const abort = (): void => waiter.refuse(request.signal.reason);
      pool.waiters.add(waiter);
      serve(pool);
      if (!pool.waiters.has(waiter)) return refillSoon(pool);
      timer = setTimeout(() => {
        const seconds = Math.round(request.wait / 1000);
        waiter.refuse(new IsolateError("wait-timeout", { template, seconds, reason: whyWait(pool) }, pool.lastError));
      }, request.wait);
      request.signal.addEventListener("abort", abort);
      tend(pool);
      hurry(pool);
      if (pool.waiters.has(waiter)) request.onWait(whyWait(pool));
    });
  }

  return { serve, take };
}

/**
 * Picks the account served longest ago, so that no account waits for all of another's requests, then its first caller.
 */
function nextWaiter({ waiters, served }: PoolState): Waiter | undefined {
  let next: Waiter | undefined;
  const turn = ({ request }: Waiter): number => served.get(request.account) ?? 0;
  for (const waiter of waiters) if (!next || turn(waiter) < turn(next)) next = waiter;
  return next;
}

function whyWait(pool: PoolState): string {
  if (pool.lastError) return pool.lastError.message;
  if (pool.latest === null) return "the daemon is looking up the newest snapshot";
  return "the pool is empty and a copy is being made";
}
