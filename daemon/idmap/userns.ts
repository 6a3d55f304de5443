/**
 * One pinned user namespace for each calling user: made once, found by its owner at a path, gone only with the host. And
 * for root's choice of ids one for each lease, which is nowhere but in our hands and the sandbox's.
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

/** The ranges that the daemon gave, kept across its restarts. */
export interface RangeStore {
  rangeOf(uid: number): number | undefined;
  all(): ReadonlyMap<number, number>;
  /** Replaces the user's earlier one: somebody may have delegated its ids in /etc/subuid since. */
  save(uid: number, start: number): void;
}

export interface PinnedNamespace {
  /** Root's, and open to the lessee alone. Views go into it. */
  readonly directory: string;
  /** The file that is the namespace. */
  readonly userns: string;
  /** The same, open for as long as the daemon is. */
  readonly fd: number;
  /** Host ids of container 0. */
  readonly uid: number;
  readonly gid: number;
}

export interface UserNamespaces {
  /** Holds every user's directory. */
  readonly users: string;
  /** Of a caller that the kernel named. Calls for the same caller share one namespace. */
  for(caller: { readonly uid: number; readonly gid: number }): Promise<PinnedNamespace>;
  /**
   * Of root, with the ids that root chose, for one lease; closed by the caller once that has ended. The path of `userns` is
   * that of our descriptor in proc(5), which only root can open: nothing of it has to be taken away after a crash.
   */
  based(ids: BaseIds): Promise<PinnedNamespace>;
  /** Closes the descriptors. The pins stay for what still runs. */
  close(): void;
}

export interface UserNamespaceOptions {
  readonly runtimeDirectory: string;
  readonly subuidFile: string;
  readonly subgidFile: string;
  readonly rangeBase: number;
  readonly ranges: RangeStore;
  /** Login name, or the number as text where there is none. */
  readonly userName: (uid: number) => Promise<string>;
  readonly accountWithin: AccountWithin;
  /** Asked each time: useradd's share may be changed. */
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

/** Ranges that are asked about for one user. Where accounts have so many, another `ids.base` is needed. */
const mostAsked = 16;

/**
 * Asks about a range before it is used, and then plans once more. Reads, plans and remembers without a pause, so that two
 * users never get the same range.
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
    if (account !== undefined) options.log.info({ range, account }, "ids are not given: an account has some of them");
    if (taken.size >= mostAsked) {
      throw new IsolateError("unsupported-host", {
        what: `accounts have ids in each of the ${mostAsked} ranges from ${options.rangeBase} (ids.base) on that were looked at, such as ${account}`,
        fix: otherBase,
      });
    }
  }
}

/** Binds the namespace to the file, in place of what an earlier daemon left there. Gives a descriptor of its own. */
function pin(namespace: number, file: string): number {
  const { O_CREAT, O_RDONLY, O_NOFOLLOW } = constants;
  while (unpin(file)); // a crash between the two may have left more than one
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

/** False when nothing is mounted there. */
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
