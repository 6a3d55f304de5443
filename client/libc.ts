/** The client's only native calls: what Linux offers and the runtimes do not. Each throws `SystemCallError`. */
import { encodeBytes } from "./bytes.ts";
import type { Binder } from "./ffi.ts";
import { createKernel, int, long, type Signatures, SystemCallError } from "./libc-call.ts";
import { createFiles, fileSignatures } from "./libc-files.ts";

const signatures = {
  ...fileSignatures,
  socket: int("socket", "i32", "i32", "i32"),
  connect: int("connect", "i32", "bytes", "i32"),
  write: long("write", "i32", "bytes", "i64"),
  poll: int("poll", "bytes", "i64", "i32"),
  tcgetpgrp: int("tcgetpgrp", "i32"),
  getpgrp: int("getpgrp"),
  signal: long("signal", "i32", "i64"),
  fcntl: int("fcntl", "i32", "i32", "i32"),
  prlimit: int("prlimit", "i32", "i32", "bytes", "bytes"),
  execve: int("execve", "text", "texts", "texts"),
  syscall: long("syscall", "i64", "i64", "i64", "i64"),
} as const satisfies Signatures;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SIG_DFL = 0;
const SIG_IGN = 1;
const closeRange = 436;
const pidfdOpen = 434;

export type Libc = ReturnType<typeof createLibc>;

export function createLibc(binder: Binder, architecture: string) {
  const kernel = createKernel(signatures, binder);
  const { attempt, checked, failure } = kernel;
  const keyctl = architecture === "arm64" ? 219 : 250;

  return {
    ...createFiles(kernel),

    /** Blocking, and open across exec: its connection is the lease. */
    connectUnix(path: string): number {
      const address = Buffer.alloc(110); // struct sockaddr_un: family, path
      const bytes = Buffer.from(encodeBytes(path));
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

    /** pidfd_open(2): readable once that process has ended. Undefined where it is gone already. */
    openProcess(pid: number): number | undefined {
      const fd = attempt("syscall", pidfdOpen, pid, 0, 0);
      if (fd >= 0) return fd;
      const error = failure("pidfd_open");
      if (error.errno === "ESRCH") return undefined;
      throw error;
    },

    close: (fd: number): void => void attempt("close", fd),

    /** Undefined where the descriptor is not our controlling terminal. */
    isForeground(fd: number): boolean | undefined {
      const group = attempt("tcgetpgrp", fd);
      return group < 0 ? undefined : group === attempt("getpgrp");
    },

    ignoreSignal: (signal: number): void => void attempt("signal", signal, SIG_IGN),
    defaultSignal: (signal: number): void => void attempt("signal", signal, SIG_DFL),

    /** Of descriptors above 2, these alone survive exec(2). Node makes the first three close-on-exec too. */
    keepOnly(descriptors: readonly number[]): void {
      checked("close_range", attempt("syscall", closeRange, 3, 0xffffffff, 4)); // CLOSE_RANGE_CLOEXEC, Linux 5.11
      for (const fd of [0, 1, 2]) attempt("fcntl", fd, 2, 0); // F_SETFD; one may be closed
      for (const fd of descriptors) checked("fcntl", attempt("fcntl", fd, 2, 0));
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
      if (attempt("syscall", keyctl, 1, 0, 0) >= 0) return;
      const error = failure("keyctl");
      if (error.errno !== "ENOSYS") throw error; // a kernel without keys
    },

    /** Does not return unless it fails. */
    execute(program: string, argv: readonly string[], environment: readonly string[]): never {
      attempt("execve", program, [program, ...argv], environment);
      throw failure("execve");
    },
  };
}
