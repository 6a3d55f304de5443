/** Mounts: mount(2), fsopen(2), open_tree(2), move_mount(2), mount_setattr(2). */
import { AT_FDCWD, checked, closeDescriptor, func, nr, syscallInts } from "./call.ts";

const syscallPathFlags = func("syscall", "long", ["long", "long", "str", "long"]);
const syscallMove = func("syscall", "long", ["long", "long", "str", "long", "str", "long"]);
const syscallSetattr = func("syscall", "long", ["long", "long", "str", "long", "void *", "long"]);
const syscallConfig = func("syscall", "long", ["long", "long", "long", "str", "str", "long"]);
const syscallName = func("syscall", "long", ["long", "str", "long"]);

const mountCall = func("mount", "int", ["str", "str", "str", "ulong", "str"]);
const umountCall = func("umount2", "int", ["str", "int"]);
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;

export const MS = {
  nosuid: 2,
  nodev: 4,
  bind: 4096,
  rec: 16384,
  shared: 1 << 20,
  slave: 1 << 19,
  private: 1 << 18,
} as const;
export const MOUNT_ATTR = { rdonly: 1, nosuid: 2, nodev: 4, idmap: 0x100000 } as const;

export function mount(
  source: string | null,
  target: string,
  type: string | null,
  flags: number,
  options: string | null,
): void {
  checked("mount", mountCall(source, target, type, flags, options), target);
}

const detachNoFollow = 2 | 8; // MNT_DETACH | UMOUNT_NOFOLLOW

/** Detaches immediately; the file system ends when its last user is gone. */
export function unmountLazily(target: string): void {
  checked("umount2", umountCall(target, detachNoFollow), target);
}

/** The same in another thread: the kernel waits about 2 ms for all processors (synchronize_rcu); leases go on. */
export function unmountInBackground(target: string): Promise<void> {
  return new Promise((resolve, reject) => {
    umountCall.async(target, detachNoFollow, (thrown: unknown, result: number) => {
      try {
        if (thrown) throw thrown;
        // errno belongs to that thread. A repeated call here fails for the same reason.
        if (result < 0) unmountLazily(target);
        resolve();
      } catch (error) {
        reject(error);
      }
    });
  });
}

const statvfs = func("statvfs", "int", ["str", "void *"]);
const ST_RDONLY = 1;

/** Whether the mount at the path, or its file system, is read-only: statvfs(3). */
export function isReadOnly(path: string): boolean {
  const found = Buffer.alloc(112); // struct statvfs
  checked("statvfs", statvfs(path, found), path);
  return (found.readUInt32LE(72) & ST_RDONLY) !== 0;
}

/** Returns a descriptor of a detached copy of the mount at `path` (`OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC`). */
export function cloneMount(path: string): number {
  const flags = 1 | 0o2000000;
  return checked("open_tree", Number(syscallPathFlags(nr.openTree, AT_FDCWD, path, flags)), path);
}

/** Sets `MOUNT_ATTR` flags on a detached mount; with `idmap`, `userns` is a descriptor of the user namespace. */
export function setMountAttributes(mountFd: number, set: number, userns = 0): void {
  const attributes = Buffer.alloc(32); // struct mount_attr: attr_set, attr_clr, propagation, userns_fd
  attributes.writeBigUInt64LE(BigInt(set), 0);
  attributes.writeBigUInt64LE(BigInt(userns), 24);
  const result = syscallSetattr(
    nr.mountSetattr,
    mountFd,
    "",
    AT_EMPTY_PATH | AT_RECURSIVE,
    attributes,
    attributes.length,
  );
  checked("mount_setattr", Number(result));
}

/** Attaches a detached mount at `target`. Does not follow `target` if it is a symbolic link. */
export function attachMount(mountFd: number, target: string): void {
  const emptyFrom = 4; // MOVE_MOUNT_F_EMPTY_PATH
  checked("move_mount", Number(syscallMove(nr.moveMount, mountFd, "", AT_FDCWD, target, emptyFrom)), target);
}

/** `true`: an option without a value. */
export type MountOptions = Readonly<Record<string, string | true>>;

/** Returns a descriptor of a detached mount of a new file system. `attributes` are `MOUNT_ATTR` flags. */
export function mountDetached(type: string, options: MountOptions, attributes: number): number {
  const context = fileSystemContext(type, options);
  try {
    checked("fsconfig", Number(syscallConfig(nr.fsconfig, context, createCommand, null, null, 0)), type);
    return fsmount(context, type, attributes);
  } finally {
    closeDescriptor(context);
  }
}

/** The same, with the slow call in another thread. */
export async function mountDetachedInBackground(
  type: string,
  options: MountOptions,
  attributes: number,
): Promise<number> {
  const context = fileSystemContext(type, options);
  try {
    const result = await new Promise<number>((resolve, reject) => {
      syscallConfig.async(nr.fsconfig, context, createCommand, null, null, 0, (thrown: unknown, value: number) =>
        thrown ? reject(thrown) : resolve(Number(value)),
      );
    });
    if (result >= 0) return fsmount(context, type, attributes);
  } finally {
    closeDescriptor(context);
  }
  // errno belongs to that thread. A repeated call here fails for the same reason.
  return mountDetached(type, options, attributes);
}

const createCommand = 6; // FSCONFIG_CMD_CREATE

function fileSystemContext(type: string, options: MountOptions): number {
  const context = checked("fsopen", Number(syscallName(nr.fsopen, type, 1)), type);
  try {
    for (const [key, value] of Object.entries(options)) {
      const [command, text] = value === true ? [0, null] : [1, value]; // FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING
      checked("fsconfig", Number(syscallConfig(nr.fsconfig, context, command, key, text, 0)), `${key}=${value}`);
    }
    return context;
  } catch (error) {
    closeDescriptor(context);
    throw error;
  }
}

function fsmount(context: number, type: string, attributes: number): number {
  return checked("fsmount", Number(syscallInts(nr.fsmount, context, 1, attributes, 0, 0)), type);
}
