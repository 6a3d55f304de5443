/** Checks that this host can use an overlay store in that directory, by really mounting one, with two ids. */
import { lstatSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { IsolateError } from "../../../protocol/errors.ts";
import { holdNamespace } from "../../idmap/namespace.ts";
import { hasErrno, SystemCallError } from "../../linux/call.ts";
import { CommandError } from "../../linux/child-process.ts";
import { withFileSystemIds } from "../../linux/files.ts";
import { isFull, reasonOf, storageFailure } from "../failure.ts";
import { cloneLayer, makeUpper } from "./layout.ts";
import { isInUse, mountStack, type Stack, unmountStack } from "./mount.ts";

/** The uid of nobody: the map exists only for the probe. */
const probeId = 65534;

/**
 * `scratch` is an empty directory in the store; the caller deletes it. Returns the slots if this kernel needs them or
 * `always` is set, otherwise `undefined`. Throws `unsupported-host` with the fix.
 */
export async function probeOverlay(
  scratch: string,
  empty: string,
  makeSlots: () => readonly string[],
  always: boolean,
): Promise<readonly string[] | undefined> {
  const map = `0 ${probeId} 1\n`;
  const held = await holdNamespace({ uid: probeId, gid: probeId, uidMap: map, gidMap: map }).catch((error: unknown) => {
    throw error instanceof CommandError ? refused("namespace", error.message, error) : error;
  });
  try {
    const stack = makeStack(scratch);
    const at = join(scratch, "at");
    mkdirSync(at);
    const to = { userns: held.fd, uid: probeId, gid: probeId };
    let slots = always ? makeSlots() : undefined;
    try {
      mountStack(stack, to, at, slots);
    } catch (error) {
      if (slots || !hasErrno(error, "EINVAL") || (error as SystemCallError).call !== "mount") throw error;
      slots = makeSlots();
      mountStack(stack, to, at, slots);
    }
    try {
      withFileSystemIds(probeId, probeId, () => writeFileSync(join(at, "file"), ""));
      if (lstatSync(join(stack.working.upper, "file")).uid !== 0) throw refused("idmap", "IDs are not mapped");
      if (!isInUse(stack.working, empty)) throw refused("idmap", "a mount in use is not detected");
    } finally {
      unmountStack(at);
    }
    return slots;
  } catch (error) {
    if (error instanceof IsolateError || isFull(error)) throw storageFailure("check the overlay store", error);
    const step =
      error instanceof SystemCallError && error.call !== "mount" && error.errno !== "ENOSYS" ? "idmap" : "overlay";
    throw refused(step, reasonOf(error), error);
  } finally {
    await held.release();
  }
}

function makeStack(scratch: string): Stack {
  const layers = join(scratch, "layers");
  mkdirSync(join(layers, "lower"), { recursive: true });
  const home = join(scratch, "working");
  mkdirSync(home);
  return { layers, lower: ["lower"], working: makeUpper(cloneLayer(home), join(layers, "lower")) };
}

const fixes = {
  namespace:
    "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), user.max_user_namespaces above 0",
  idmap:
    "put the overlay store on ext4, xfs, btrfs or another file system with ID-mapped mounts, and use Linux 5.19 or newer",
  overlay:
    "load the module: modprobe overlay; its ID-mapped layers need Linux 5.19 or newer, and do not work inside a container",
} as const;

function refused(step: keyof typeof fixes, why: string, cause?: unknown): IsolateError {
  return new IsolateError(
    "unsupported-host",
    { what: `ID-mapped overlay mounts do not work (${why})`, fix: fixes[step] },
    cause,
  );
}
