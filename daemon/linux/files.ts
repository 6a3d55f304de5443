/** Locks, extended attributes, renames, and a thread's file-system ids. */
import { AT_FDCWD, checked, func, hasErrno } from "./call.ts";

const flock = func("flock", "int", ["int", "int"]);
const LOCK_EX = 2;
const LOCK_NB = 4;

/** Returns `false` if another process holds the lock. The lock lives as long as the descriptor. */
export function tryLock(fd: number): boolean {
  try {
    checked("flock", flock(fd, LOCK_EX | LOCK_NB));
    return true;
  } catch (error) {
    if (hasErrno(error, "EWOULDBLOCK", "EAGAIN")) return false;
    throw error;
  }
}

const setxattr = func("setxattr", "int", ["str", "str", "void *", "size_t", "int"]);

export function setExtendedAttribute(path: string, name: string, value: Buffer): void {
  checked("setxattr", setxattr(path, name, value, value.length, 0), path);
}

const syscallTwoPointers = func("syscall", "long", ["long", "void *", "void *"]);
/** setfsuid(2), capset(2), capabilities(7). */
const setfsuid = func("setfsuid", "int", ["uint"]);
const setfsgid = func("setfsgid", "int", ["uint"]);
const syscallCaps = { get: 125, set: 126 };
if (process.arch === "arm64") Object.assign(syscallCaps, { get: 90, set: 91 });

/**
 * Runs `act` with other file-system ids, and keeps the thread's capabilities, which setfsuid(2) would drop. Both belong
 * to the thread, so `act` must not await. overlayfs needs this, as it keeps the credentials of the mounter.
 */
export function withFileSystemIds<T>(uid: number, gid: number, act: () => T): T {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(0x20080522); // _LINUX_CAPABILITY_VERSION_3
  const capabilities = Buffer.alloc(24);
  checked("capget", Number(syscallTwoPointers(syscallCaps.get, header, capabilities)));
  try {
    setfsgid(gid);
    setfsuid(uid);
    checked("capset", Number(syscallTwoPointers(syscallCaps.set, header, capabilities)));
    return act();
  } finally {
    setfsuid(0);
    setfsgid(0);
    checked("capset", Number(syscallTwoPointers(syscallCaps.set, header, capabilities)));
  }
}

/** node:fs has no flags of renameat2(2). This flag makes it fail with EEXIST instead of replacing. */
const renameat2 = func("renameat2", "int", ["int", "str", "int", "str", "uint"]);

export function renameNew(from: string, to: string): void {
  checked("renameat2", renameat2(AT_FDCWD, from, AT_FDCWD, to, 1), `${from} -> ${to}`);
}
