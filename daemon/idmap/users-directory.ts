/**
 * `<runtime>/users`: the only place on the host where users reach their views and namespaces. Root owns each user's
 * directory, and an access control list opens it to that user only.
 *
 * It is a separate shared mount, so that unmounting a view also unmounts the copies in other services' namespaces. It
 * outlives the daemon, as running sandboxes have their views in it.
 */
import { chmodSync, lstatSync, mkdirSync, realpathSync } from "node:fs";
import { IsolateError } from "../../protocol/errors.ts";
import { userDirectory, usersDirectory } from "../../protocol/pins.ts";
import { setExtendedAttribute } from "../linux/files.ts";
import { MS, mount } from "../linux/mounts.ts";
import { isMountPoint, mountAlone } from "./mount.ts";

export interface UsersDirectory {
  readonly path: string;
  /** Returns the directory of one user; makes it if it is missing. */
  of(uid: number): string;
}

/** Throws `cannot-start` if one of the paths exists but is not a directory owned by root. */
export function openUsersDirectory(runtimeDirectory: string): UsersDirectory {
  mkdirSync(runtimeDirectory, { recursive: true, mode: 0o755 });
  const runtime = realpathSync(runtimeDirectory);
  ownDirectory(runtime, 0o755);
  const path = usersDirectory(runtime);
  ownDirectory(path, 0o711);
  // An earlier daemon may have made the mount, and running sandboxes depend on it.
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

/** Makes the directory, or adopts it if root owns it and it is not a symbolic link. */
function ownDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== 0) {
    const wrong = `${path} is ${found.isDirectory() ? `owned by user ${found.uid}` : "not a directory"}`;
    throw new IsolateError("cannot-start", { wrong, fix: "remove it, or choose another --runtime-dir" });
  }
  chmodSync(path, mode);
}

/** acl(5) in the kernel's format: version 2, then each entry's tag, permissions and id, in this order of tags. */
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
