/**
 * The client's only native calls: what Linux offers and the runtimes do not. Each throws `SystemCallError`.
 * The raw system calls of the last part change one thread alone, which exec(2) then makes the only one; libc's own
 * setresuid(3) would ask the runtime's other threads to follow, and they may not answer.
 */
import { constants as osConstants } from "node:os";
import type { Argument, Binder, Call, Parameter, Signature } from "./ffi.ts";

const int = (symbol: string, ...parameters: Parameter[]): Signature => ({ symbol, parameters, result: "i32" });
const long = (symbol: string, ...parameters: Parameter[]): Signature => ({ symbol, parameters, result: "i64" });

const signatures = {
  socket: int("socket", "i32", "i32", "i32"),
  connect: int("connect", "i32", "bytes", "i32"),
  write: long("write", "i32", "bytes", "i64"),
  read: long("read", "i32", "bytes", "i64"),
  poll: int("poll", "bytes", "i64", "i32"),
  close: int("close", "i32"),
  tcgetpgrp: int("tcgetpgrp", "i32"),
  getpgrp: int("getpgrp"),
  signal: long("signal", "i32", "i64"),
  fcntl: int("fcntl", "i32", "i32", "i32"),
  prlimit: int("prlimit", "i32", "i32", "bytes", "bytes"),
  execve: int("execve", "text", "texts", "texts"),
  unshare: int("unshare", "i32"),
  mount: int("mount", "text", "text", "text", "i64", "text"),
  syscall: long("syscall", "i64", "i64", "i64", "i64", "i64", "i64"),
  syscallBytes: long("syscall", "i64", "i64", "bytes"),
  openTree: long("syscall", "i64", "i64", "text", "i64"),
  moveMount: long("syscall", "i64", "i64", "text", "i64", "text", "i64"),
  mountSetattr: long("syscall", "i64", "i64", "text", "i64", "bytes", "i64"),
} as const satisfies Record<string, Signature>;

// Numbers from 424 on are the same everywhere (syscalls(2)).
const perArchitecture = {
  x64: { getgroups: 115, setgroups: 116, setresuid: 117, setresgid: 119, keyctl: 250 },
  arm64: { getgroups: 158, setgroups: 159, setresuid: 147, setresgid: 149, keyctl: 219 },
} as const;
const everywhere = { openTree: 428, moveMount: 429, closeRange: 436, mountSetattr: 442 } as const;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const O_CLOEXEC = 0o2000000;
const SIG_DFL = 0;
const SIG_IGN = 1;

export class SystemCallError extends Error {
  readonly call: string;
  /** `ENOENT` and so on. */
  readonly errno: string;
  constructor(call: string, errno: string) {
    super(`${call}: ${errno}`);
    this.name = "SystemCallError";
    this.call = call;
    this.errno = errno;
  }
}

export type Libc = ReturnType<typeof createLibc>;

export function createLibc(binder: Binder, architecture: string) {
  const numbers = { ...(architecture === "arm64" ? perArchitecture.arm64 : perArchitecture.x64), ...everywhere };
  const bound = new Map<keyof typeof signatures, Call>();

  /** Gives what the function gave, -1 included. */
  function attempt(name: keyof typeof signatures, ...args: Argument[]): number {
    let call = bound.get(name);
    if (!call) {
      call = binder.bind(signatures[name]);
      bound.set(name, call);
    }
    return call(...args);
  }

  function failure(call: string): SystemCallError {
    const number = binder.errno();
    const name = Object.entries(osConstants.errno).find(([, value]) => value === number)?.[0];
    return new SystemCallError(call, name ?? `errno ${number}`);
  }

  function checked(call: string, result: number): number {
    if (result < 0) throw failure(call);
    return result;
  }

  const raw = (name: keyof typeof numbers, ...args: [number?, number?, number?, number?, number?]): number => {
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = args;
    return checked(name.toLowerCase(), attempt("syscall", numbers[name], a, b, c, d, e));
  };

  return {
    /** Blocking, and open across exec: its connection is the lease. */
    connectUnix(path: string): number {
      const address = Buffer.alloc(110); // struct sockaddr_un: family, path
      const bytes = Buffer.from(path);
      if (bytes.length > 107) throw new SystemCallError("connect", "ENAMETOOLONG");
      address.writeUInt16LE(AF_UNIX, 0);
      bytes.copy(address, 2);
      const fd = checked("socket", attempt("socket", AF_UNIX, SOCK_STREAM, 0));
      if (attempt("connect", fd, address, address.length) === 0) return fd;
      const error = failure("connect");
      attempt("close", fd);
      throw error;
    },

    writeAll(fd: number, bytes: Uint8Array): void {
      for (let sent = 0; sent < bytes.length; ) {
        const rest = bytes.subarray(sent);
        sent += checked("write", attempt("write", fd, rest, rest.length));
      }
    },

    /** How many bytes came; 0 at the end. */
    read: (fd: number, into: Uint8Array): number => checked("read", attempt("read", fd, into, into.length)),

    /** Whether something can be read, or the end has come, within that time. */
    readable(fd: number, milliseconds: number): boolean {
      const entry = Buffer.alloc(8); // struct pollfd: fd, events, revents
      entry.writeInt32LE(fd, 0);
      entry.writeInt16LE(1, 4); // POLLIN
      return attempt("poll", entry, 1, milliseconds) > 0;
    },

    close: (fd: number): void => void attempt("close", fd),

    /** Undefined where the descriptor is not our controlling terminal. */
    isForeground(fd: number): boolean | undefined {
      const group = attempt("tcgetpgrp", fd);
      return group < 0 ? undefined : group === attempt("getpgrp");
    },

    ignoreSignal: (signal: number): void => void attempt("signal", signal, SIG_IGN),
    defaultSignal: (signal: number): void => void attempt("signal", signal, SIG_DFL),

    /** Of descriptors above 2, these alone survive exec(2). */
    keepOnly(descriptors: readonly number[]): void {
      raw("closeRange", 3, 0xffffffff, 4); // CLOSE_RANGE_CLOEXEC, Linux 5.11
      for (const fd of descriptors) checked("fcntl", attempt("fcntl", fd, 2, 0)); // F_SETFD
    },

    setSoftDescriptorLimit(soft: number): void {
      const limit = Buffer.alloc(16); // struct rlimit: soft, hard
      checked("prlimit", attempt("prlimit", 0, 7, null, limit)); // RLIMIT_NOFILE
      const hard = limit.readBigUInt64LE(8);
      limit.writeBigUInt64LE(BigInt(soft) < hard ? BigInt(soft) : hard, 0);
      checked("prlimit", attempt("prlimit", 0, 7, limit, null));
    },

    /** The caller's keys are not for the sandbox: keyctl_join_session_keyring(3). */
    joinNewSessionKeyring(): void {
      if (attempt("syscall", numbers.keyctl, 1, 0, 0, 0, 0) >= 0) return;
      const error = failure("keyctl");
      if (error.errno !== "ENOSYS") throw error; // a kernel without keys
    },

    /** Does not return unless it fails. */
    execute(program: string, argv: readonly string[], environment: readonly string[]): never {
      attempt("execve", program, [program, ...argv], environment);
      throw failure("execve");
    },

    // --- For root alone.

    /** This thread gets a mount namespace in which nothing that we mount reaches the host. */
    leaveMountNamespace(): void {
      checked("unshare", attempt("unshare", 0x00020000)); // CLONE_NEWNS
      checked("mount", attempt("mount", null, "/", null, 0x84000, null)); // MS_SLAVE | MS_REC
    },

    mountTmpfs(target: string, options: string): void {
      checked("mount", attempt("mount", "tmpfs", target, "tmpfs", 6, options)); // MS_NOSUID | MS_NODEV
    },

    /** A detached copy of the mounts at that path, as a descriptor. */
    cloneTree(path: string): number {
      const flags = 1 | O_CLOEXEC | AT_RECURSIVE; // OPEN_TREE_CLONE
      return checked("open_tree", attempt("openTree", numbers.openTree, AT_FDCWD, path, flags));
    },

    mapIds(mount: number, userns: number): void {
      const attributes = Buffer.alloc(32); // struct mount_attr: set, clear, propagation, userns
      attributes.writeBigUInt64LE(0x100000n, 0); // MOUNT_ATTR_IDMAP
      attributes.writeBigUInt64LE(BigInt(userns), 24);
      const flags = AT_EMPTY_PATH | AT_RECURSIVE;
      checked(
        "mount_setattr",
        attempt("mountSetattr", numbers.mountSetattr, mount, "", flags, attributes, attributes.length),
      );
    },

    attach(mount: number, target: string): void {
      checked("move_mount", attempt("moveMount", numbers.moveMount, mount, "", AT_FDCWD, target, 4)); // MOVE_MOUNT_F_EMPTY_PATH
    },

    /** Gives up root for good, in this thread. The caller verifies. */
    becomeUser(uid: number, gid: number): void {
      checked("setgroups", attempt("syscallBytes", numbers.setgroups, 0, null));
      raw("setresgid", gid, gid, gid);
      raw("setresuid", uid, uid, uid);
    },
  };
}
