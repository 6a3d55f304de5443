/**
 * One pinned user namespace for each calling user, made once. Its owner finds it at a path, and it lives as long as the
 * host. If root chooses the ids, one namespace for each lease, which only the daemon and the sandbox hold.
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { IsolateError } from "../../protocol/errors.ts";
import { type BaseIds, idCount } from "../../protocol/ids.ts";
import { usernsFile } from "../../protocol/pins.ts";
import { hasErrno } from "../linux/call.ts";
import { CommandError } from "../linux/child-process.ts";
import { MS, mount, unmountLazily } from "../linux/mounts.ts";
import type { AccountWithin } from "./accounts-within.ts";
import { readDelegated } from "./delegated.ts";
import { holdNamespace } from "./namespace.ts";
import { type MapPlan, planMap } from "./ranges.ts";
import { otherBase, type Reserved } from "./reserved.ts";
import { openUsersDirectory } from "./users-directory.ts";

/** The ranges that the daemon has allocated, kept across its restarts. */
export interface RangeStore {
  rangeOf(uid: number): number | undefined;
  all(): ReadonlyMap<number, number>;
  /** Replaces the user's earlier range, whose ids may since have been delegated in /etc/subuid. */
  save(uid: number, start: number): void;
}

export interface PinnedNamespace {
  /** The directory for views. Root owns it, and only the lessee may enter it. */
  readonly directory: string;
  /** The file to which the namespace is bound. */
  readonly userns: string;
  /** The namespace's descriptor, open as long as the daemon runs. */
  readonly fd: number;
  /** The host ids of container id 0. */
  readonly uid: number;
  readonly gid: number;
}

export interface UserNamespaces {
  /** The directory with every user's directory. */
  readonly users: string;
  /** Returns the namespace of a caller whose ids the kernel told. Calls for the same caller share one namespace. */
  for(caller: { readonly uid: number; readonly gid: number }): Promise<PinnedNamespace>;
  /**
   * Makes a namespace with the ids that root chose, for one lease. The caller closes it after the lease. The path of
   * `userns` is the daemon's descriptor in proc(5), which only root can open: a crash leaves nothing to remove.
   */
  based(ids: BaseIds): Promise<PinnedNamespace>;
  /** Closes the descriptors. The pins stay for running sandboxes. */
  close(): void;
}

export interface UserNamespaceOptions {
  readonly runtimeDirectory: string;
  readonly subuidFile: string;
  readonly subgidFile: string;
  readonly rangeBase: number;
  readonly ranges: RangeStore;
  /** Returns the login name, or the number as text if there is none. */
  readonly userName: (uid: number) => Promise<string>;
  readonly accountWithin: AccountWithin;
  /** Called each time, as useradd's ids may change. */
  readonly reserved: () => readonly Reserved[];
  readonly log: { info(details: object, message: string): void };
}

export function createUserNamespaces(options: UserNamespaceOptions): UserNamespaces {
  const users = openUsersDirectory(options.runtimeDirectory);
  const pinned = new Map<string, Promise<PinnedNamespace>>();
  let closed = false;

  function pinnedFor(caller: { uid: number; gid: number }): Promise<PinnedNamespace> {
    const key = caller.uid === 0 ? "root" : `${caller.uid}:${caller.gid}`;
    const known = pinned.get(key);
    if (known) return known;
    const made = make(caller);
    pinned.set(key, made);
    made.catch(() => pinned.delete(key)); // the next call tries again
    return made;
  }

  async function make(caller: { uid: number; gid: number }): Promise<PinnedNamespace> {
    const name = await options.userName(caller.uid);
    const plan = await settledMap(options, { ...caller, name });
    const directory = users.of(plan.uid);
    const userns = usernsFile(directory, plan.gid);
    const held = await holdNamespace(plan).catch((error: unknown) => {
      throw namespaceRefused(caller.uid, error);
    });
    try {
      const fd = pin(held.fd, userns);
      if (closed) closeSync(fd);
      options.log.info({ caller: caller.uid, uid: plan.uid, gid: plan.gid, userns }, "user namespace pinned");
      return { directory, userns, fd, uid: plan.uid, gid: plan.gid };
    } finally {
      await held.release();
    }
  }

  return {
    users: users.path,
    for: pinnedFor,
    async based({ uid, gid }) {
      const { directory } = await pinnedFor({ uid: 0, gid: 0 });
      const map = (first: number): string => `0 ${first} ${idCount}\n`;
      const held = await holdNamespace({ uid, gid, uidMap: map(uid), gidMap: map(gid) }).catch((error: unknown) => {
        throw namespaceRefused(uid, error);
      });
      try {
        const fd = openSync(`/proc/self/fd/${held.fd}`, "r");
        return { directory, userns: `/proc/${process.pid}/fd/${fd}`, fd, uid, gid };
      } finally {
        await held.release();
      }
    },
    close() {
      closed = true;
      for (const namespace of pinned.values()) void namespace.then(({ fd }) => closeSync(fd)).catch(() => {});
      pinned.clear();
    },
  };
}

/** The most ranges to look up for one user. If accounts have ids in all of them, another `ids.base` is needed. */
const mostAsked = 16;

/**
 * Looks up a range before it is used, and then plans again. Reads, plans and saves without awaiting, so that two users
 * never get the same range.
 */
async function settledMap(
  options: UserNamespaceOptions,
  caller: { uid: number; gid: number; name: string },
): Promise<MapPlan> {
  const free = new Set<number>();
  const taken = new Map<number, string>();
  for (;;) {
    const plan = planMap({
      caller,
      subuid: readDelegated(options.subuidFile),
      subgid: readDelegated(options.subgidFile),
      given: options.ranges.all(),
      base: options.rangeBase,
      reserved: options.reserved(),
      taken,
    });
    const { range, give } = plan;
    if (range === undefined || free.has(range)) {
      if (give !== undefined) options.ranges.save(caller.uid, give);
      return plan;
    }
    const account = await options.accountWithin(range);
    if (account === undefined) free.add(range);
    else taken.set(range, account);
    if (account !== undefined)
      options.log.info({ range, account }, "a range of ids is skipped: an account has some of them");
    if (taken.size >= mostAsked) {
      throw new IsolateError("unsupported-host", {
        what: `accounts have ids in each of the ${mostAsked} ranges from ${options.rangeBase} (ids.base), such as ${account}`,
        fix: otherBase,
      });
    }
  }
}

/** Binds the namespace to the file, in place of an earlier daemon's. Returns a new descriptor of it. */
function pin(namespace: number, file: string): number {
  const { O_CREAT, O_RDONLY, O_NOFOLLOW } = constants;
  while (unpin(file)); // a crash between the two calls may have left more than one
  closeSync(openSync(file, O_CREAT | O_RDONLY | O_NOFOLLOW, 0o400));
  mount(`/proc/self/fd/${namespace}`, file, null, MS.bind, null);
  const fd = openSync(file, "r");
  const [wanted, found] = [fstatSync(namespace), fstatSync(fd)];
  if (wanted.ino !== found.ino || wanted.dev !== found.dev) {
    closeSync(fd);
    throw new IsolateError("internal", { cause: `${file} is not the user namespace that was bound to it` });
  }
  return fd;
}

/** Returns `false` if nothing is mounted there. */
function unpin(file: string): boolean {
  try {
    unmountLazily(file);
    return true;
  } catch (error) {
    if (hasErrno(error, "ENOENT", "EINVAL")) return false;
    throw error;
  }
}

function namespaceRefused(uid: number, error: unknown): unknown {
  if (!(error instanceof CommandError)) return error;
  return new IsolateError(
    "unsupported-host",
    {
      what: `user ${uid} cannot make a user namespace (${error.message})`,
      fix: "allow them: sysctl kernel.unprivileged_userns_clone=1 (Debian), and user.max_user_namespaces above 0",
    },
    error,
  );
}
