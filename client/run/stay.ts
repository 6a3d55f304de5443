/**
 * A run that needs somebody who stays: for its hooks, or to connect to the daemon at the end where isolate-monitor could
 * not, having no right to (root's) or not being there (lxc). The client gets the lease and becomes a monitor whose child is
 * a second client; that one runs the same command in the same lease, and gives back neither the lease nor its own rights
 * too early for what comes after.
 */

import { type Hooks, watchClient } from "../../engines/monitor.ts";
import { IsolateError } from "../../protocol/errors.ts";
import { launch } from "./launch.ts";
import type { Lease } from "./lease.ts";
import { readGrant } from "./lease-wire.ts";
import type { Libc } from "./linux/libc.ts";
import { leased } from "./options/definitions.ts";
import type { Environment } from "./options/options.ts";

export interface Stay {
  readonly monitor: string;
  readonly hooks: Hooks | undefined;
  /** What the hooks find in ROOTFS. */
  readonly rootfs: string;
  readonly lease: Lease | undefined;
  readonly socket: string;
  /** How this program is started, and what it was given. */
  readonly self: readonly string[];
  readonly words: readonly string[];
  readonly environment: Environment;
  readonly ignoreInterrupt: boolean;
  readonly descriptorLimit: number;
}

export function stay(wanted: Stay, libc: Libc): never {
  const { monitor, hooks, rootfs, lease, socket, self, words, environment, ignoreInterrupt, descriptorLimit } = wanted;
  // Without the hooks themselves: theirs would be those of every isolate that they call.
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

/** Of the client that stays. Throws `usage`. */
export function readLease(text: string): Lease {
  const lease = readLeased(text);
  if (!lease) throw isOurs();
  return lease;
}

/** The same where a directory may be the root, which is not leased. */
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
  return new IsolateError("usage", { wrong: `--${leased.long} is isolate's own` });
}
