/**
 * bubblewrap, started while the daemon answers. It loads, and then waits for its options, which only the lease can tell:
 * they come through a socket (bwrap(1), `--args`). What its own line and its descriptors hold must be known before: that
 * the user's namespace is where the daemon pins it, and that the first connection becomes the lease. Where that turns out
 * otherwise it is dropped, and isolate-monitor starts the engine.
 */

import { bwrapLater, firstOption, inside, optionsBytes } from "../../engines/bwrap.ts";
import { userDirectory, usernsFile, usersDirectory } from "../../protocol/pins.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";
import type { RunRequest } from "./options/options.ts";
import { type HostFacts, planInit, type Root } from "./plan.ts";

export interface Prestart {
  readonly pid: number;
  /** The caller's namespace, by the engine's descriptor of it. */
  readonly userns: number;
  /** Whether it has that namespace, and was not dropped; where not, it is dropped now. */
  fits(userns: number | undefined): boolean;
  /** Lets it go on. Where it has ended, isolate-monitor hears of that. */
  tell(options: readonly string[]): void;
  drop(): void;
}

/** What a runtime needs for it: `native/starter/prestart.h`. */
export interface Starter {
  start(words: readonly string[], descriptors: Int32Array): number;
  letGo(): void;
  drop(): void;
}

interface Means {
  readonly socket: string;
  /** Undefined: this runtime has none. */
  readonly starter: Starter | undefined;
  readonly libc: Libc;
}

/** What of the root is known before the lease. */
export type Known = Pick<Root, "monitor" | "filter" | "privileges"> & {
  /** That of the connection; undefined: there is none. */
  readonly lease: number | undefined;
};

/** Undefined where it cannot be started before the lease. */
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
  // Where this process dies, the options end here, and it ends with a line of complaint.
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

/** Hooks come before the engine; root takes on other rights, and -i another disposition, once the lease is there. */
function isOrdinary({ engine, hooks, ignoreInterrupt }: RunRequest, facts: HostFacts): boolean {
  const { uid, session, privateNetwork } = facts;
  return engine === "bwrap" && uid !== 0 && !hooks && !ignoreInterrupt && !session && !privateNetwork;
}

/** Throws `SystemCallError` where it is not there yet: it is made at a user's first lease. */
function openPinned(socket: string, { uid, gid }: HostFacts, libc: Libc): number {
  const runtime = socket.slice(0, socket.lastIndexOf("/") + 1) || "./";
  return libc.openAtOnce(usernsFile(userDirectory(usersDirectory(runtime), uid), gid));
}
