/**
 * A run in which a process stays: to run hooks, or to connect to the daemon at the end if the engine's isolate-monitor
 * has no right to (root has been given up) or does not exist (lxc). The client gets the lease and becomes a monitor
 * whose child is a second client. The second client runs the same command in the same lease. So the monitor still has
 * the lease and its rights when the command ends.
 */

import { type Hooks, watchClient } from "../../engines/monitor.ts";
import { IsolateError } from "../../protocol/errors.ts";
import { launch } from "./launch.ts";
import type { Lease } from "./lease.ts";
import { readGrant } from "./lease-wire.ts";
import type { Libc } from "./linux/libc.ts";
import { leased } from "./options/definitions.ts";
import type { Environment } from "./options/requests.ts";

export interface Stay {
  readonly monitor: string;
  readonly hooks: Hooks | undefined;
  /** The value of ROOTFS for the hooks. */
  readonly rootfs: string;
  readonly lease: Lease | undefined;
  readonly socket: string;
  /** The program with its script if there is one, and its command line. */
  readonly self: readonly string[];
  readonly words: readonly string[];
  readonly environment: Environment;
  readonly ignoreInterrupt: boolean;
  readonly descriptorLimit: number;
}

export function stay(wanted: Stay, libc: Libc): never {
  const { monitor, hooks, rootfs, lease, socket, self, words, environment, ignoreInterrupt, descriptorLimit } = wanted;
  // Without the hooks themselves: otherwise every isolate that the hooks or the command call would run them too.
  const { PRE_SPAWN_HOOK, POST_SPAWN_HOOK, ...others } = environment;
  const client = [...self, `--${leased.long}`, JSON.stringify(lease ?? null), ...words];
  const watch = {
    hold: lease?.descriptor,
    pre: hooks?.pre,
    post: hooks?.post,
    wake: lease?.grant.onDemand ? socket : undefined,
  };
  const descriptors = lease ? [lease.descriptor] : [];
  return launch(
    {
      program: monitor,
      argv: watchClient(watch, client),
      newKeyring: false,
      environment: hooks ? { ...others, ROOTFS: rootfs } : others,
      descriptors,
      ignoreInterrupt,
      descriptorLimit,
    },
    libc,
  );
}

/** Reads the lease that `stay` passed on. Throws `usage`. */
export function readLease(text: string): Lease {
  const lease = readLeased(text);
  if (!lease) throw isOurs();
  return lease;
}

/** Does the same; returns `undefined` if the root is a directory, which has no lease. */
export function readLeased(text: string): Lease | undefined {
  try {
    const said = JSON.parse(text) as { descriptor?: unknown; grant?: unknown } | null;
    if (said === null) return undefined;
    const { descriptor, grant: given } = said;
    const grant = readGrant(given);
    if (grant && Number.isInteger(descriptor) && (descriptor as number) > 2)
      return { descriptor: descriptor as number, grant };
  } catch {
    // not JSON
  }
  throw isOurs();
}

function isOurs(): IsolateError {
  return new IsolateError("usage", { wrong: `--${leased.long} is for isolate's internal use` });
}
