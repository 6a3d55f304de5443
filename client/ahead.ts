/**
 * bubblewrap, started while the daemon answers. It loads, and then waits for its options, which only the lease can tell:
 * they come through a socket (bwrap(1), `--args`). What its own line and its descriptors hold must be known before: that
 * the user's namespace is where the daemon pins it, and that the first connection becomes the lease. Where that turns out
 * otherwise it is dropped, and isolate-monitor starts the engine.
 */
import { userDirectory, usernsFile, usersDirectory } from "../daemon/protocol/pins.ts";
import { bwrapLater, inside, optionsBytes } from "../engines/bwrap.ts";
import type { Libc } from "./libc.ts";
import { SystemCallError } from "./libc-call.ts";
import type { RunRequest } from "./options.ts";
import { type HostFacts, planInit, type Root } from "./plan.ts";

const SIGKILL = 9;

export interface Ahead {
  readonly pid: number;
  /** The caller's namespace, by the engine's descriptor of it. */
  readonly userns: number;
  /** Whether it has that namespace, and was not dropped; where not, it is dropped now. */
  fits(userns: number | undefined): boolean;
  /** Lets it go on. Where it has ended, isolate-monitor hears of that. */
  tell(options: readonly string[]): void;
  drop(): void;
}

/** Of the words, with those descriptors open: `seccomp/ahead.h`. Undefined where the runtime cannot. */
export type Start = ((words: readonly string[], descriptors: Int32Array) => number) | undefined;

/** What of the root is known before the lease; its descriptor is that of the connection. */
export type Known = Pick<Root, "monitor" | "filter" | "privileges"> & { readonly lease: number };

/** Undefined where it cannot be started before the lease. What is left of it dies with this process. */
export function startAhead(
  request: RunRequest,
  facts: HostFacts,
  known: Known,
  { socket, start, libc }: { readonly socket: string; readonly start: Start; readonly libc: Libc },
): Ahead | undefined {
  if (!start || !isOrdinary(request, facts)) return undefined;
  const userns = openPinned(socket, facts, libc);
  if (userns === undefined) return undefined;
  const [ours, engines] = libc.socketPair();
  const words = [facts.engine, ...bwrapLater(engines, inside({ ...request, init: planInit(request, facts, known) }))];
  libc.joinNewSessionKeyring();
  // It has our end as well: its options do not end where this process dies, and it with it, but where we say so.
  const { lease, monitor, filter } = known;
  const open = [userns, ours, engines, lease, monitor, filter].filter((fd) => fd !== undefined);
  const pid = start(words, Int32Array.from(open));
  libc.close(engines);
  if (pid < 0) return undefined;
  let dropped = false;
  const drop = (): void => {
    if (!dropped) libc.kill(pid, SIGKILL);
    dropped = true;
  };
  return {
    pid,
    userns,
    fits(granted) {
      if (granted === undefined || !libc.isSameFile(granted, userns)) drop();
      return !dropped;
    },
    tell(options) {
      try {
        libc.writeAll(ours, optionsBytes(options));
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error;
      }
      libc.endWriting(ours);
    },
    drop,
  };
}

/** Hooks come before the engine; root takes on other rights, and -i another disposition, once the lease is there. */
function isOrdinary({ engine, root, hooks, leased, ignoreInterrupt }: RunRequest, facts: HostFacts): boolean {
  const { uid, session, privateNetwork } = facts;
  const plain = engine === "bwrap" && "template" in root && uid !== 0;
  return plain && !hooks && leased === undefined && !ignoreInterrupt && !session && !privateNetwork;
}

/** Undefined where it is not there yet: it is made at a user's first lease. */
function openPinned(socket: string, { uid, gid }: HostFacts, libc: Libc): number | undefined {
  const runtime = socket.slice(0, socket.lastIndexOf("/"));
  try {
    return libc.open(usernsFile(userDirectory(usersDirectory(runtime), uid), gid));
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}
