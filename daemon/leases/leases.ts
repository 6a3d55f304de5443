/** Leases: who may have one, the view that goes with it, its holder, and its end. */
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
  /** Of the process that connected. Belongs to the lease from the grant on. */
  readonly pidfd: number;
}

export interface LeaseRequest {
  readonly template: TemplateName;
  readonly lessee: Lessee;
  /** Root's choice; undefined: those of the lessee's namespace. */
  readonly ids: BaseIds | undefined;
  /** Shown in listings only. */
  readonly command: string;
  /** Milliseconds. */
  readonly wait: number;
  readonly signal: AbortSignal;
  readonly onWait: (reason: string) => void;
  /** Ends the connection, and every process of that host id that holds its other end. */
  readonly cutOff: (uid: number) => void;
}

export interface LeasesOptions {
  readonly store: Store;
  readonly keeper: Keeper;
  readonly storage: Storage;
  readonly namespaces: UserNamespaces;
  /** Clones of one user that are not yet gone. */
  readonly limit: () => number;
  /** Whether the lessee is to start the daemon when the lease has ended. */
  readonly onDemand: () => boolean;
  readonly clock: () => number;
  readonly leaseLog: LeaseLog;
  readonly observe: Pick<Metrics, "waited" | "ended">;
  readonly log: Logger;
}

/** A lease that is held now. */
interface Held {
  /** Of its holder; undefined when that is gone. */
  readonly pidfd: number | undefined;
  end: LeaseEnd;
  /** Uid of who ended it, if somebody did. */
  by: number | null;
}

/** What a caller gets, and how the daemon takes it back. */
export interface Granted {
  readonly grant: Grant;
  readonly release: () => void;
}

/** Milliseconds that a holder has to end by itself once it gave up its claim: a host may be busy for seconds. */
export const holderGrace = 10_000;
/** Milliseconds between looks at the holders of all leases. */
const holderPoll = 250;
/** Milliseconds from a holder's death to the end of whatever holds its descriptor: isolate-init needs 2 s at most. */
const heirGrace = 3000;
/** Tried for one lease where a clone turns out to be gone: somebody may have removed several while no daemon looked. */
const otherClones = 10;
export type Leases = ReturnType<typeof createLeases>;

export function createLeases(options: LeasesOptions) {
  const { store, keeper, storage, namespaces, limit, onDemand, clock, leaseLog, observe, log } = options;
  const held = new Map<CloneId, Held>();
  const holders = createHolderWatch(holderPoll);
  const asking = new Map<number, number>();
  let draining = false;

  /**
   * Counts those who still wait too, so that many requests at once are no way around the limit. `act` says when its
   * clone counts by itself.
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

  /** `holder` is undefined when there is nobody left to end. */
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

  /** Ordinarily the connection ends when the holder does; what makes it outlive the holder is given no longer than that. */
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
        log.warn({ err: error }, "a clone cannot be leased, another is");
        // Whoever removed one may have removed all.
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
      // The holder goes on to read the refusal: only the clone is given up.
      release(clone.id, undefined);
      throw error;
    }
  }

  return {
    /** Throws `limit-reached`, `draining`, and what `Keeper.take` and the storage throw. */
    async acquire(request: LeaseRequest): Promise<Granted> {
      if (draining) throw new IsolateError("draining", {});
      return counted(request.lessee.uid, (leased) => grant(request, leased));
    },

    /** Takes over the leases that an earlier daemon granted: their connections are gone, so their holders are watched. */
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
     * Ends the holder, as `kill -9` of it does: its connection ends with it, or is cut off. False when nobody holds that
     * clone any more.
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
