/**
 * Starts bubblewrap while the daemon answers. It loads, and then waits for its options, which depend on the lease: they
 * come through a socket (bwrap(1), `--args`). Its command line and descriptors must be known before. They assume that
 * the user's namespace is where the daemon pins it, and that the first connection becomes the lease. If an assumption
 * proves wrong, this bubblewrap is dropped and isolate-monitor starts the engine.
 */

import { bwrapLater, firstOption, inside, optionsBytes } from "../../engines/bwrap.ts";
import { userDirectory, usernsFile, usersDirectory } from "../../protocol/pins.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";
import type { RunRequest } from "./options/requests.ts";
import { type HostFacts, planInit, type Root } from "./plan.ts";

export interface Prestart {
  readonly pid: number;
  /** The engine's descriptor of the caller's user namespace. */
  readonly userns: number;
  /** Whether the engine has that namespace and was not dropped. Drops it if it has another namespace. */
  fits(userns: number | undefined): boolean;
  /** Sends the options and lets the engine continue. If the engine has ended, isolate-monitor notices. */
  tell(options: readonly string[]): void;
  drop(): void;
}

/** The runtime's functions for it: `native/starter/prestart.h`. */
export interface Starter {
  start(words: readonly string[], descriptors: Int32Array): number;
  letGo(): void;
  drop(): void;
}

interface Means {
  readonly socket: string;
  /** `undefined` if the runtime has no starter. */
  readonly starter: Starter | undefined;
  readonly libc: Libc;
}

/** The facts of the root that are known before the lease. */
export type Known = Pick<Root, "monitor" | "filter" | "privileges"> & {
  /** The connection's descriptor; `undefined` without a connection. */
  readonly lease: number | undefined;
};

/** Starts the engine; returns `undefined` if it cannot be started before the lease. */
export function prestart(request: RunRequest, facts: HostFacts, known: Known, means: Means): Prestart | undefined {
  if (known.lease === undefined || !isOrdinary(request, facts)) return undefined;
  try {
    return start(request, facts, known, means);
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}

function start(
  request: RunRequest,
  facts: HostFacts,
  known: Known,
  { socket, starter, libc }: Means,
): Prestart | undefined {
  if (!starter) return undefined;
  const userns = openPinned(socket, facts, libc);
  const [ours, engines] = libc.socketPair();
  // If this process dies, the engine reads the end of its options and ends with an error message.
  libc.writeAll(ours, optionsBytes([firstOption]));
  libc.joinNewSessionKeyring();
  const words = [facts.engine, ...bwrapLater(engines, inside({ ...request, init: planInit(request, facts, known) }))];
  const open = [userns, engines, known.lease, known.monitor, known.filter].filter((fd) => fd !== undefined);
  const pid = starter.start(words, Int32Array.from(open));
  libc.close(engines);
  if (pid < 0) return undefined;
  let dropped = false;
  const drop = (): void => {
    starter.drop();
    dropped = true;
  };
  return {
    pid,
    userns,
    fits(granted) {
      if (granted === undefined || !libc.isSameFile(granted, userns)) drop();
      return !dropped;
    },
    tell([first, ...options]) {
      if (first !== firstOption) throw new Error(`${first} is not the first option`);
      starter.letGo();
      libc.say(ours, optionsBytes(options));
      libc.close(ours);
    },
    drop,
  };
}

/** Hooks run before the engine; with the lease, root changes its rights and -i changes a signal's disposition. */
function isOrdinary({ engine, hooks, ignoreInterrupt }: RunRequest, facts: HostFacts): boolean {
  const { uid, session, privateNetwork } = facts;
  return engine === "bwrap" && uid !== 0 && !hooks && !ignoreInterrupt && !session && !privateNetwork;
}

/** Opens the pinned namespace. Throws `SystemCallError` if it does not exist yet: a user's first lease makes it. */
function openPinned(socket: string, { uid, gid }: HostFacts, libc: Libc): number {
  const runtime = socket.slice(0, socket.lastIndexOf("/") + 1) || "./";
  return libc.openAtOnce(usernsFile(userDirectory(usersDirectory(runtime), uid), gid));
}
