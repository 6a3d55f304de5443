/**
 * The daemon's only native calls: what Linux offers and Node does not. Each throws `SystemCallError` with the name of
 * the call and of the errno. Numbers of system calls from 424 on are the same on every architecture (syscalls(2)).
 */
import { constants as osConstants } from "node:os";
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const errnoNames = new Map(Object.entries(osConstants.errno).map(([name, number]) => [number, name]));

export class SystemCallError extends Error {
  readonly call: string;
  /** `ENOENT` and so on. */
  readonly errno: string;
  constructor(call: string, errno: string, what: string) {
    super(`${call}: ${errno}${what ? `: ${what}` : ""}`);
    this.name = "SystemCallError";
    this.call = call;
    this.errno = errno;
  }
}

export function hasErrno(thrown: unknown, ...names: string[]): boolean {
  return thrown instanceof SystemCallError && names.includes(thrown.errno);
}

function checked(call: string, result: number, what = ""): number {
  if (result >= 0) return result;
  const number = koffi.errno();
  throw new SystemCallError(call, errnoNames.get(number) ?? `errno ${number}`, what);
}

const func = (name: string, result: string, parameters: string[]) => libc.func(name, result, parameters);

// One binding for each shape of arguments that the raw system calls below take.
const syscallInts = func("syscall", "long", ["long", "long", "long", "long", "long", "long"]);
const syscallPathFlags = func("syscall", "long", ["long", "long", "str", "long"]);
const syscallMove = func("syscall", "long", ["long", "long", "str", "long", "str", "long"]);
const syscallSetattr = func("syscall", "long", ["long", "long", "str", "long", "void *", "long"]);
const syscallConfig = func("syscall", "long", ["long", "long", "long", "str", "str", "long"]);
const syscallName = func("syscall", "long", ["long", "str", "long"]);
const syscallTwoPointers = func("syscall", "long", ["long", "void *", "void *"]);

const nr = {
  pidfdSendSignal: 424,
  openTree: 428,
  moveMount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  pidfdOpen: 434,
  mountSetattr: 442,
} as const;

// --- Who is at the other end of a socket: unix(7), socket(7).

const getsockopt = func("getsockopt", "int", ["int", "int", "int", "void *", "void *"]);
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;
const SO_PEERPIDFD = 77;

function socketOption(fd: number, option: number, buffer: Buffer): number {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(buffer.length);
  checked("getsockopt", getsockopt(fd, SOL_SOCKET, option, buffer, length));
  return length.readUInt32LE();
}

/** The credentials that the peer had when it called connect(2). */
export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } {
  const ucred = Buffer.alloc(12);
  socketOption(fd, SO_PEERCRED, ucred);
  return { pid: ucred.readInt32LE(0), uid: ucred.readUInt32LE(4), gid: ucred.readUInt32LE(8) };
}

/** The peer's supplementary groups, which `SO_PEERCRED` does not tell. */
export function peerGroups(fd: number): number[] {
  for (let room = 64; ; room *= 16) {
    const ids = Buffer.alloc(room * 4);
    try {
      const bytes = socketOption(fd, SO_PEERGROUPS, ids);
      return Array.from({ length: bytes / 4 }, (_, index) => ids.readUInt32LE(index * 4));
    } catch (error) {
      // ERANGE: there are more. NGROUPS_MAX is 65536, credentials(7).
      if (!hasErrno(error, "ERANGE") || room >= 65536) throw error;
    }
  }
}

/**
 * A pidfd of the very process that called connect(2) (Linux 6.5); undefined on an older kernel. Throws where that process
 * is gone.
 */
export function peerPidfd(fd: number): number | undefined {
  const descriptor = Buffer.alloc(4);
  try {
    socketOption(fd, SO_PEERPIDFD, descriptor);
  } catch (error) {
    if (hasErrno(error, "ENOPROTOOPT")) return undefined;
    throw error;
  }
  return descriptor.readInt32LE();
}

// --- Processes: pidfd_open(2), pidfd_send_signal(2).

export function pidfdOpen(pid: number): number {
  return checked("pidfd_open", Number(syscallInts(nr.pidfdOpen, pid, 0, 0, 0, 0)), `pid ${pid}`);
}

/** SIGKILL. False when the process is gone. */
export function pidfdKill(pidfd: number): boolean {
  try {
    checked("pidfd_send_signal", Number(syscallInts(nr.pidfdSendSignal, pidfd, 9, 0, 0, 0)));
    return true;
  } catch (error) {
    if (hasErrno(error, "ESRCH")) return false;
    throw error;
  }
}

const pollFds = func("poll", "int", ["void *", "ulong", "int"]);
const POLLIN = 1;

/** It fails with EINTR even where it would not wait, signal(7): a child that ends is enough. */
function pollAtOnce(entries: Buffer, count: number): number {
  for (;;) {
    try {
      return checked("poll", pollFds(entries, count, 0));
    } catch (error) {
      if (!hasErrno(error, "EINTR")) throw error;
    }
  }
}

/** Which of the processes have ended; a zombie has (pidfd_open(2), "poll"). One call for all of them. */
export function pidfdsEnded(pidfds: readonly number[]): number[] {
  const entries = Buffer.alloc(8 * pidfds.length);
  pidfds.forEach((pidfd, index) => {
    entries.writeInt32LE(pidfd, 8 * index);
    entries.writeInt16LE(POLLIN, 8 * index + 4);
  });
  if (pollAtOnce(entries, pidfds.length) === 0) return [];
  return pidfds.filter((_, index) => entries.readInt16LE(8 * index + 6) !== 0);
}

export function pidfdEnded(pidfd: number): boolean {
  return pidfdsEnded([pidfd]).length > 0;
}

// --- The other end of a socket: sock_diag(7).

const socketCall = func("socket", "int", ["int", "int", "int"]);
const sendCall = func("send", "long", ["int", "void *", "size_t", "int"]);
const recvCall = func("recv", "long", ["int", "void *", "size_t", "int"]);

/** Inode of the socket that is connected to the Unix socket with that inode; undefined where the kernel cannot tell. */
export function peerInode(inode: number): number | undefined {
  const [AF_NETLINK, NETLINK_SOCK_DIAG, SOCK_RAW_CLOEXEC] = [16, 4, 3 | 0o2000000];
  const [SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, AF_UNIX, UDIAG_SHOW_PEER, UNIX_DIAG_PEER] = [20, 1, 1, 4, 2];
  const fd = checked("socket", socketCall(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG));
  try {
    const request = Buffer.alloc(40); // struct nlmsghdr, struct unix_diag_req
    request.writeUInt32LE(request.length, 0);
    request.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
    request.writeUInt16LE(NLM_F_REQUEST, 6);
    request.writeUInt8(AF_UNIX, 16);
    request.writeUInt32LE(0xffffffff, 20);
    request.writeUInt32LE(inode, 24);
    request.writeUInt32LE(UDIAG_SHOW_PEER, 28);
    request.fill(0xff, 32);
    checked("send", Number(sendCall(fd, request, request.length, 0)));
    const answer = Buffer.alloc(4096);
    const length = checked("recv", Number(recvCall(fd, answer, answer.length, 0)));
    if (answer.readUInt16LE(4) !== SOCK_DIAG_BY_FAMILY) return undefined;
    for (let at = 32; at + 8 <= length; at += (answer.readUInt16LE(at) + 3) & ~3) {
      if (answer.readUInt16LE(at + 2) === UNIX_DIAG_PEER) return answer.readUInt32LE(at + 4);
      if (answer.readUInt16LE(at) < 4) return undefined;
    }
    return undefined;
  } finally {
    closeDescriptor(fd);
  }
}

// --- Unix sockets that node:net has no call for: unix(7).

const getsockname = func("getsockname", "int", ["int", "void *", "void *"]);
const AF_UNIX = 1;
const pathOffset = 2;

/** Where that socket listens; undefined where it is no Unix socket with a path. */
export function listeningPath(fd: number): string | undefined {
  const address = Buffer.alloc(110); // struct sockaddr_un
  const length = Buffer.alloc(4);
  length.writeUInt32LE(address.length);
  checked("getsockname", getsockname(fd, address, length));
  const path = address.toString("utf8", pathOffset, length.readUInt32LE()).replace(/\0.*$/s, "");
  return address.readUInt16LE() === AF_UNIX && path !== "" ? path : undefined;
}

// --- Locks: flock(2).

const flock = func("flock", "int", ["int", "int"]);
const LOCK_EX = 2;
const LOCK_NB = 4;

/** False when another process holds it. The lock lives as long as the descriptor. */
export function tryLock(fd: number): boolean {
  try {
    checked("flock", flock(fd, LOCK_EX | LOCK_NB));
    return true;
  } catch (error) {
    if (hasErrno(error, "EWOULDBLOCK", "EAGAIN")) return false;
    throw error;
  }
}

// --- Access lists: setxattr(2), acl(5).

const setxattr = func("setxattr", "int", ["str", "str", "void *", "size_t", "int"]);

export function setExtendedAttribute(path: string, name: string, value: Buffer): void {
  checked("setxattr", setxattr(path, name, value, value.length, 0), path);
}

// --- Mounts: mount(2), fsopen(2), open_tree(2), move_mount(2), mount_setattr(2).

const mountCall = func("mount", "int", ["str", "str", "str", "ulong", "str"]);
const umountCall = func("umount2", "int", ["str", "int"]);
const AT_FDCWD = -100;
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

/** Detaches at once; the file system goes when its last user has gone. */
export function unmountLazily(target: string): void {
  checked("umount2", umountCall(target, detachNoFollow), target);
}

/** The same in another thread: the kernel waits some 2 ms for all processors (synchronize_rcu), and leases go on. */
export function unmountInBackground(target: string): Promise<void> {
  return new Promise((resolve, reject) => {
    umountCall.async(target, detachNoFollow, (thrown: unknown, result: number) => {
      try {
        if (thrown) throw thrown;
        // errno is of that thread. Asked again here the kernel gives the same reason.
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

/** Of the mount at the path, or of its file system: statvfs(3). */
export function isReadOnly(path: string): boolean {
  const found = Buffer.alloc(112); // struct statvfs
  checked("statvfs", statvfs(path, found), path);
  return (found.readUInt32LE(72) & ST_RDONLY) !== 0;
}

/** A detached copy of the mount at `path` as a descriptor (`OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC`). */
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

/** Attaches a detached mount at `target`, which is not followed when it is a symbolic link. */
export function attachMount(mountFd: number, target: string): void {
  const emptyFrom = 4; // MOVE_MOUNT_F_EMPTY_PATH
  checked("move_mount", Number(syscallMove(nr.moveMount, mountFd, "", AT_FDCWD, target, emptyFrom)), target);
}

/** `true`: an option without a value. */
export type MountOptions = Readonly<Record<string, string | true>>;

/** A new file system of that type as a detached mount, in no directory. `attributes` are `MOUNT_ATTR` flags. */
export function mountDetached(type: string, options: MountOptions, attributes: number): number {
  const context = fileSystemContext(type, options);
  try {
    checked("fsconfig", Number(syscallConfig(nr.fsconfig, context, createCommand, null, null, 0)), type);
    return fsmount(context, type, attributes);
  } finally {
    closeDescriptor(context);
  }
}

/** The same, what takes long in another thread. */
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
  // errno is of that thread. Asked again here the kernel gives the same reason.
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

// --- The ends of file systems: inotify(7).

const inotifyInit = func("inotify_init1", "int", ["int"]);
const inotifyAddWatch = func("inotify_add_watch", "int", ["int", "str", "uint"]);
const readCall = func("read", "long", ["int", "void *", "size_t"]);
const IN_UNMOUNT = 0x2000;
const IN_Q_OVERFLOW = 0x4000;

/** A descriptor for the next two. */
export function openInotify(): number {
  const nonBlockingAndCloexec = 0o4000 | 0o2000000;
  return checked("inotify_init1", inotifyInit(nonBlockingAndCloexec));
}

/** Gives the number that tells of the end of the file system which `path` leads to. It is not kept from ending. */
export function watchFileSystem(inotify: number, path: string): number {
  return checked("inotify_add_watch", inotifyAddWatch(inotify, path, IN_UNMOUNT), path);
}

/**
 * Which of the watched file systems have ended since the last call: the kernel has shut down the superblock, so no mount
 * of it is left in any namespace, and no open file. Undefined where the kernel has lost count.
 */
export function endedFileSystems(inotify: number): number[] | undefined {
  const events = Buffer.alloc(4096);
  const ended: number[] = [];
  for (;;) {
    const length = Number(readCall(inotify, events, events.length));
    if (length < 0 && koffi.errno() === osConstants.errno.EAGAIN) return ended;
    checked("read", length);
    for (let at = 0; at < length; at += 16 + events.readUInt32LE(at + 12)) {
      const mask = events.readUInt32LE(at + 4);
      if ((mask & IN_Q_OVERFLOW) !== 0) return undefined;
      if ((mask & IN_UNMOUNT) !== 0) ended.push(events.readInt32LE(at));
    }
  }
}

const closeCall = func("close", "int", ["int"]);

export function closeDescriptor(fd: number): void {
  closeCall(fd);
}

/** For a detached mount, whose last descriptor's end takes the kernel half a millisecond (synchronize_rcu). */
export function closeInBackground(fd: number): Promise<void> {
  return new Promise((resolve) => closeCall.async(fd, () => resolve()));
}

// --- Whose rights this thread uses on file systems: setfsuid(2), capset(2), capabilities(7).

const setfsuid = func("setfsuid", "int", ["uint"]);
const setfsgid = func("setfsgid", "int", ["uint"]);
const syscallCaps = { get: 125, set: 126 };
if (process.arch === "arm64") Object.assign(syscallCaps, { get: 90, set: 91 });

/**
 * Runs `act` with the file-system ids of somebody else and the thread's capabilities kept, which setfsuid(2) would
 * drop. Both are of the thread, so `act` must not await. Needed by overlayfs, which keeps these credentials.
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

/** flags of renameat2(2) are not offered by node:fs; this one fails with EEXIST instead of replacing. */
const renameat2 = func("renameat2", "int", ["int", "str", "int", "str", "uint"]);

export function renameNew(from: string, to: string): void {
  checked("renameat2", renameat2(AT_FDCWD, from, AT_FDCWD, to, 1), `${from} -> ${to}`);
}
