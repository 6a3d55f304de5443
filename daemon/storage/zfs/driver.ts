/**
 * The storage driver `zfs`: a template is any dataset below a pool's root, and a clone is its sibling.
 *
 * A ready clone has a detached mount, held by a descriptor. Its dataset is therefore busy as long as the daemon runs,
 * and `zpool export` works only after it has stopped.
 */
import type { StorageDriver } from "../driver.ts";
import { createClones } from "./clones.ts";
import { answeringInTime, inTime, poolNames, zfs as runZfs, type Zfs } from "./command.ts";
import { createDirect, type Direct } from "./direct.ts";
import { createEndingIn } from "./ending-in.ts";
import { checkHost } from "./host.ts";
import { openLibrary } from "./library.ts";
import { createTemplates } from "./templates.ts";
import { type Turn, turnsOfThreads } from "./turns.ts";
import { createUsage } from "./usage.ts";
import { createWatch } from "./watch.ts";

export interface ZfsOptions {
  /** Distinguishes this daemon's clones and templates from others'; lives as long as the state directory. */
  readonly store: string;
  /** A directory that only root can enter, for the driver's short-lived mounts. Created if missing. */
  readonly mountDirectory: string;
  /** zfsprops(7) `refquota` of each clone. */
  readonly refquota?: string;
  /** Called when `watch` starts to fail. */
  readonly warn?: (error: unknown) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Milliseconds between two checks for new snapshots. */
  readonly watchInterval?: number;
  readonly zfs?: Zfs;
  /** The storage pools that there are. */
  readonly pools?: () => Promise<readonly string[]>;
  /** Milliseconds that a storage pool has for an answer. */
  readonly patience?: number;
  /** Nothing by libzfs_core, as where it is missing. */
  readonly commandsOnly?: boolean;
}

export function createZfsDriver(options: ZfsOptions): StorageDriver {
  const { store, mountDirectory, refquota = "none", now = Date.now, patience = 15_000 } = options;
  const pools = inTime(options.pools ?? poolNames, "'zpool list'", patience);
  const zfs = answeringInTime(options.zfs ?? runZfs, patience);
  const { warn = () => undefined, watchInterval: interval = 2000 } = options;
  const turn = turnsOfThreads();
  const direct = options.commandsOnly ? () => undefined : whenNeeded(turn);
  return {
    name: "zfs",
    check: () => checkHost(zfs),
    close: () => undefined, // held mounts go with the process
    ...createTemplates({ zfs, pools, store, mountDirectory, now }),
    ...createClones({ zfs, pools, turn, direct, store, mountDirectory, refquota }),
    ...createUsage({ zfs, store }),
    ...createEndingIn(zfs),
    watch: createWatch({ zfs, now, interval, warn }),
  };
}

/** Hosts without ZFS never load its libraries. */
function whenNeeded(turn: Turn): () => Direct | undefined {
  let opened: { readonly direct: Direct | undefined } | undefined;
  return () => {
    if (!opened) {
      const library = openLibrary(turn);
      opened = { direct: library && createDirect(library) };
    }
    return opened.direct;
  };
}
