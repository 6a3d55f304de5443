/** Leases: the limit, the view, the holder and the end of each. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { IsolateError, toIsolateError } from "../../protocol/errors.ts";
import type { BaseIds } from "../../protocol/ids.ts";
import type { Grant } from "../../protocol/lease.ts";
import { type CloneId, splitSnapshotName, type TemplateName } from "../../protocol/names.ts";
import type { LeaseEnd } from "../../protocol/schema.ts";
import type { PinnedNamespace, UserNamespaces } from "../idmap/userns.ts";
import { closeDescriptor } from "../linux/call.ts";
import { pidfdKill } from "../linux/processes.ts";
import type { Keeper } from "../pools/keeper.ts";
import { retireMissingOf } from "../pools/reconcile.ts";
import type { LeaseLog } from "../records/lease-log.ts";
import type { CloneRecord, Holder, Store } from "../records/store.ts";
import type { Metrics } from "../service/metrics.ts";
import type { Storage } from "../storage/storage.ts";
import { createHolderWatch, endHolder, openHolder } from "./holder.ts";

export interface Lessee extends Holder {
  readonly uid: number;
  readonly gid: number;
  /** The pidfd of the process that connected. The lease owns it from the grant on. */
  readonly pidfd: number;
}

export interface LeaseRequest {
  readonly template: TemplateName;
  readonly lessee: Lessee;
  /** The ids that root chose; `undefined` for those of the lessee's namespace. */
  readonly ids: BaseIds | undefined;
  /** Shown in listings only. */
  readonly command: string;
  /** Milliseconds. */
  readonly wait: number;
  readonly signal: AbortSignal;
  readonly onWait: (reason: string) => void;
  /** Ends the connection, and every process with that host id that holds its other end. */
  readonly cutOff: (uid: number) => void;
}

export interface LeasesOptions {
  readonly store: Store;
  readonly keeper: Keeper;
  readonly storage: Storage;
  readonly namespaces: UserNamespaces;
  /** The most clones of one user that are not yet gone. */
  readonly limit: () => number;
  /** Whether the lessee must start the daemon when the lease has ended. */
  readonly onDemand: () => boolean;
  readonly clock: () => number;
  readonly leaseLog: LeaseLog;
  readonly observe: Pick<Metrics, "waited" | "ended">;
  readonly log: Logger;
}

/** A lease that is held now. */
interface Held {
  /** The holder's pidfd; `undefined` if the holder is gone. */
  readonly pidfd: number | undefined;
  end: LeaseEnd;
  /** The uid of the user who ended it; null if nobody did. */
  by: number | null;
}

/** The caller's grant, and the function that ends the lease. */
export interface Granted {
  readonly grant: Grant;
  readonly release: () => void;
}

/** Milliseconds for a holder to exit after it released its lease: a host may be busy for seconds. */
export const holderGrace = 10_000;
/** Milliseconds between checks of the holders of all leases. */
const holderPoll = 250;
/**
 * Milliseconds from a holder's death to the end of other processes with its descriptor: isolate-init needs at most 2 s.
 */
const heirGrace = 3000;
/** The number of other clones to try for one lease: somebody may have removed several while no daemon ran. */
const otherClones = 10;
export type Leases = ReturnType<typeof createLeases>;

export function createLeases(options: LeasesOptions) {
  const { store, keeper, storage, namespaces, limit, onDemand, clock, leaseLog, observe, log } = options;
  const held = new Map<CloneId, Held>();
  const holders = createHolderWatch(holderPoll);
  const asking = new Map<number, number>();
  let draining = false;

  /**
   * Also counts waiting requests, so that parallel requests cannot bypass the limit. `act` calls `leased` when its
   * clone is recorded, and therefore counts itself.
   */
  async function counted<T>(uid: number, act: (leased: () => void) => Promise<T>): Promise<T> {
    const now = asking.get(uid) ?? 0;
    if (store.heldBy(uid) + now >= limit()) throw new IsolateError("limit-reached", { limit: limit(), uid });
    asking.set(uid, now + 1);
    let asks = true;
    const leased = (): void => {
      if (!asks) return;
      asks = false;
      const rest = (asking.get(uid) ?? 1) - 1;
      if (rest > 0) asking.set(uid, rest);
      else asking.delete(uid);
    };
    try {
      return await act(leased);
    } finally {
      leased();
    }
  }

  /** `pidfd` is `undefined` if there is no holder left to end. */
  function release(id: CloneId, holder: Lessee | undefined): void {
    const lease = held.get(id);
    held.delete(id);
    if (lease) {
      leaseLog.ended(id, lease.end, lease.by);
      observe.ended(lease.end, (clock() - (store.clone(id)?.lease?.since ?? clock())) / 1000);
    }
    if (store.clone(id)?.state === "leased") keeper.release(id);
    if (holder) endHolder(holder, holder.pidfd, holderGrace);
  }

  function hold(clone: CloneRecord, pidfd: number | undefined): Held {
    const lease: Held = { pidfd, end: "ended", by: null };
    held.set(clone.id, lease);
    const { uid = 0, command = "", since = 0 } = clone.lease ?? {};
    const { template, snapshot } = splitSnapshotName(clone.snapshot);
    leaseLog.began({ lease: clone.id, kind: "run", template, snapshot, uid, command, since });
    return lease;
  }

  /** Normally the connection ends with the holder. If it outlives the holder, it is cut off after `heirGrace`. */
  function watchHeirs(pidfd: number, cutOff: () => void): () => void {
    let patience: NodeJS.Timeout | undefined;
    const stop = holders.add(pidfd, () => {
      patience = setTimeout(cutOff, heirGrace);
    });
    return () => {
      stop();
      clearTimeout(patience);
    };
  }

  async function grant(request: LeaseRequest, leased: () => void): Promise<Granted> {
    if (!request.ids) return grantIn(await namespaces.for(request.lessee), request, leased);
    const namespace = await namespaces.based(request.ids);
    const close = (): void => closeDescriptor(namespace.fd);
    try {
      const { grant, release } = await grantIn(namespace, request, leased);
      return {
        grant,
        release() {
          close();
          release();
        },
      };
    } catch (error) {
      close();
      throw error;
    }
  }

  async function grantIn(namespace: PinnedNamespace, request: LeaseRequest, leased: () => void): Promise<Granted> {
    for (let left = otherClones; ; left--) {
      try {
        return await grantOne(namespace, request, leased);
      } catch (error) {
        if (left === 0 || toIsolateError(error).code !== "clone-gone") throw error;
        log.warn({ err: error }, "cannot lease a clone; trying another");
        // If somebody removed one clone, all of them may be gone.
        if (left === otherClones) await retireGone(request.template);
      }
    }
  }

  async function retireGone(template: TemplateName): Promise<void> {
    const options = { store, storage, reclaimer: keeper.reclaimer, log };
    await retireMissingOf(template, options).catch((err: unknown) =>
      log.warn({ template, err }, "cannot look for the ready clones"),
    );
  }

  async function grantOne(namespace: PinnedNamespace, request: LeaseRequest, leased: () => void): Promise<Granted> {
    const { template, lessee, command, wait, signal, onWait } = request;
    signal.throwIfAborted();
    const to = { userns: namespace.fd, uid: namespace.uid, gid: namespace.gid };
    const asked = performance.now();
    const taken = keeper.take(template, {
      account: lessee.uid,
      to,
      lasting: !request.ids,
      wait,
      signal,
      onWait,
      lease: (id) => {
        leased();
        return {
          uid: lessee.uid,
          pid: lessee.pid,
          startTime: lessee.startTime,
          command,
          since: clock(),
          view: join(namespace.directory, id),
        };
      },
    });
    const clone: CloneRecord = await taken.finally(() => observe.waited((performance.now() - asked) / 1000));
    try {
      signal.throwIfAborted();
      const view = join(namespace.directory, clone.id);
      mkdirSync(view, { mode: 0o700 });
      await storage.of(template).view(clone.id, to, view);
      signal.throwIfAborted();
      const { id: lease, snapshot } = clone;
      const { userns, uid, gid } = namespace;
      const record = hold(clone, lessee.pidfd);
      const stopWatching = watchHeirs(lessee.pidfd, () => {
        if (record.end === "ended") record.end = "cut-off";
        request.cutOff(uid);
      });
      return {
        grant: { lease, template, snapshot, view, userns, uid, gid, onDemand: onDemand() },
        release: () => {
          stopWatching();
          release(clone.id, lessee);
        },
      };
    } catch (error) {
      // The holder still has to read the refusal, so only the clone is released.
      release(clone.id, undefined);
      throw error;
    }
  }

  return {
    /** Throws `limit-reached`, `draining`, and the errors of `Keeper.take` and of the storage. */
    async acquire(request: LeaseRequest): Promise<Granted> {
      if (draining) throw new IsolateError("draining", {});
      return counted(request.lessee.uid, (leased) => grant(request, leased));
    },

    /** Takes over the leases of an earlier daemon. Their connections are gone, so their holders are watched instead. */
    adoptOrphans(boot: string): void {
      for (const clone of [...store.clones()]) {
        if (clone.state !== "leased" || !clone.lease) continue;
        const pidfd = clone.boot === boot ? openHolder(clone.lease) : undefined;
        const lease = hold(clone, pidfd);
        if (pidfd === undefined) {
          log.info({ clone: clone.id }, "the holder of a lease is gone");
          lease.end = "lost";
          release(clone.id, undefined);
          continue;
        }
        holders.add(pidfd, () => {
          closeDescriptor(pidfd);
          release(clone.id, undefined);
        });
      }
      leaseLog.settle();
    },

    /**
     * Kills the holder, like `kill -9`. Its connection ends with it, or is cut off. Returns `false` if nobody holds the
     * clone anymore.
     */
    kill(id: CloneId, by: number): boolean {
      const lease = held.get(id);
      if (lease?.pidfd === undefined) return false;
      Object.assign(lease, { end: "killed", by });
      pidfdKill(lease.pidfd);
      return true;
    },

    drain(): void {
      draining = true;
    },

    list: (): CloneRecord[] => [...store.clones()].filter((clone) => clone.state === "leased"),
  };
}
