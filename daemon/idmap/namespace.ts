/** Makes a user namespace with the given maps, held by a process of its owner. */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { hold } from "../linux/child-process.ts";

export interface HeldNamespace {
  /** An open descriptor of the namespace, which alone keeps it alive. */
  readonly fd: number;
  /** Ends the process that made it and closes the descriptor. */
  release(): Promise<void>;
}

export interface NamespaceMaps {
  /** The owner's ids. The owner may join the namespace and has every capability in it (user_namespaces(7)). */
  readonly uid: number;
  readonly gid: number;
  readonly uidMap: string;
  readonly gidMap: string;
}

/**
 * The process that makes the namespace runs as its owner, so that the owner may join it later. The daemon writes the
 * maps, as it may map any id. Throws `CommandError` if users may not make namespaces.
 */
export async function holdNamespace(maps: NamespaceMaps): Promise<HeldNamespace> {
  const helper = await hold("unshare", ["--user", "cat"], maps);
  let fd: number | undefined;
  try {
    // Opened before it is mapped, so that the owner cannot replace it by ptrace(2) afterwards: a namespace without a
    // map is useless.
    fd = openSync(`/proc/${helper.pid}/ns/user`, "r");
    writeOnce(`/proc/${helper.pid}/uid_map`, maps.uidMap);
    writeOnce(`/proc/${helper.pid}/gid_map`, maps.gidMap);
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    await helper.end();
    throw error;
  }
  const open = fd;
  return {
    fd: open,
    async release() {
      closeSync(open);
      await helper.end();
    },
  };
}

/** A map can be written only once, by one write(2): user_namespaces(7). */
function writeOnce(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY);
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}
