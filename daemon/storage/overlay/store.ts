/** The directories of an overlay store. */
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { IsolateError } from "../../../protocol/errors.ts";
import { type IdMappedCopies, isMountPoint, mountAlone } from "../../idmap/mount.ts";
import { createTrash, type Trash, type TrashLog } from "../trash.ts";
import { unmountStack } from "./mount.ts";

export interface OverlayStore {
  /** Part of every mark: directories with another id are not ours. */
  readonly id: string;
  readonly templates: string;
  readonly clones: string;
  readonly empty: string;
  readonly trash: Trash;
  /** Two empty directories on a private mount, for kernels that need them (see withIdMapped). */
  slots(): readonly string[];
}

/** The store as the driver's `check` found it. */
export interface OpenOverlay extends OverlayStore {
  /** For withIdMapped. */
  readonly slotsNeeded: readonly string[] | undefined;
  readonly copies: IdMappedCopies;
}

/** Creates missing directories. Throws `unsupported-host` if root does not own the store's directory. */
export function openStore(directory: string, storeId: string, log: TrashLog): OverlayStore {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const found = lstatSync(directory);
  if (!found.isDirectory() || found.uid !== 0) {
    throw new IsolateError("unsupported-host", {
      what: `${directory} is not a directory owned by root`,
      fix: "use another directory for the overlay store",
    });
  }
  chmodSync(directory, 0o700);
  const inside = (name: string): string => {
    const path = join(directory, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  };
  return {
    id: storeId,
    templates: inside("templates"),
    clones: inside("clones"),
    empty: inside("empty"),
    trash: createTrash(inside("trash"), log),
    slots: () => privateSlots(inside("slots"), [inside("slots/0"), inside("slots/1")]),
  };
}

/** Makes the slots private, so that a mount attached there for a moment does not propagate to another namespace. */
function privateSlots(directory: string, slots: readonly string[]): readonly string[] {
  while (isMountPoint(directory) && unmountStack(directory)); // left by an earlier daemon
  mountAlone(directory);
  return slots;
}
