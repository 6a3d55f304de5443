/**
 * `<runtime>/users`: the one place of the host where users reach their views and namespaces. Each user's directory is
 * root's, and an access list opens it to that user alone.
 *
 * It is a shared mount of its own, so that unmounting a view reaches the copies in other services' namespaces, and it
 * outlives the daemon: sandboxes that run on have their views in it.
 */
import { chmodSync, lstatSync, mkdirSync, realpathSync } from "node:fs";
import { IsolateError } from "../../protocol/errors.ts";
import { userDirectory, usersDirectory } from "../../protocol/pins.ts";
import { setExtendedAttribute } from "../linux/files.ts";
import { MS, mount } from "../linux/mounts.ts";
import { isMountPoint, mountAlone } from "./mount.ts";

export interface UsersDirectory {
  readonly path: string;
  /** The directory of one user, made where it is missing. */
  of(uid: number): string;
}

/** Throws `cannot-start` where something else than root's own directories is in the way. */
export function openUsersDirectory(runtimeDirectory: string): UsersDirectory {
  mkdirSync(runtimeDirectory, { recursive: true, mode: 0o755 });
  const runtime = realpathSync(runtimeDirectory);
  ownDirectory(runtime, 0o755);
  const path = usersDirectory(runtime);
  ownDirectory(path, 0o711);
  // A daemon before us may have made the mount; sandboxes that still run hang on it.
  if (!isMountPoint(path)) mountAlone(path);
  mount(null, path, null, MS.shared, null);
  return {
    path,
    of(uid) {
      const directory = userDirectory(path, uid);
      ownDirectory(directory, 0o700);
      setExtendedAttribute(directory, "system.posix_acl_access", accessList(uid));
      return directory;
    },
  };
}

/** Makes it, or takes it over when it is root's and no symbolic link. */
function ownDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== 0) {
    const wrong = `${path} is ${found.isDirectory() ? `user ${found.uid}'s` : "no directory"}`;
    throw new IsolateError("cannot-start", { wrong, fix: "remove it, or choose another --runtime-dir" });
  }
  chmodSync(path, mode);
}

/** acl(5) as the kernel keeps it: version 2, then tag, permissions and id of each entry, in this order of tags. */
function accessList(uid: number): Buffer {
  const [read, execute] = [4, 1];
  const nobody = 0xffffffff;
  const entries = [
    { tag: 0x01, permissions: 7, id: nobody }, // ACL_USER_OBJ
    { tag: 0x02, permissions: read | execute, id: uid }, // ACL_USER
    { tag: 0x04, permissions: 0, id: nobody }, // ACL_GROUP_OBJ
    { tag: 0x10, permissions: read | execute, id: nobody }, // ACL_MASK
    { tag: 0x20, permissions: 0, id: nobody }, // ACL_OTHER
  ];
  const list = Buffer.alloc(4 + entries.length * 8);
  list.writeUInt32LE(2, 0);
  for (const [index, entry] of entries.entries()) {
    list.writeUInt16LE(entry.tag, 4 + index * 8);
    list.writeUInt16LE(entry.permissions, 6 + index * 8);
    list.writeUInt32LE(entry.id, 8 + index * 8);
  }
  return list;
}
