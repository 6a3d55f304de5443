/** The client's only native calls: Linux functions that the runtimes lack. Each throws `SystemCallError`. */
import { encodeBytes } from "../../../protocol/bytes.ts";
import { createKernel, everywhere, failure, type Numbers, SystemCallError } from "./call.ts";
import { createFiles, fileNumbers } from "./files.ts";
import type { SystemCall } from "./system-call.ts";

const numbers = {
  ...fileNumbers,
  socket: { x64: 41, arm64: 198 },
  connect: { x64: 42, arm64: 203 },
  sendto: { x64: 44, arm64: 206 },
  socketpair: { x64: 53, arm64: 199 },
  write: { x64: 1, arm64: 64 },
  lseek: { x64: 8, arm64: 62 },
  memfd_create: { x64: 319, arm64: 279 },
  ppoll: { x64: 271, arm64: 73 },
  ioctl: { x64: 16, arm64: 29 },
  getpgid: { x64: 121, arm64: 155 },
  getpid: { x64: 39, arm64: 172 },
  getppid: { x64: 110, arm64: 173 },
  getuid: { x64: 102, arm64: 174 },
  getgid: { x64: 104, arm64: 176 },
  rt_sigaction: { x64: 13, arm64: 134 },
  fcntl: { x64: 72, arm64: 25 },
  prlimit: { x64: 302, arm64: 261 },
  execve: { x64: 59, arm64: 221 },
  pipe2: { x64: 293, arm64: 59 },
  keyctl: { x64: 250, arm64: 219 },
  close_range: everywhere(436),
  landlock_create_ruleset: everywhere(444),
} as const satisfies Numbers;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const MSG_NOSIGNAL = 0x4000;
const TCGETS = 0x5401;
const POLLIN = 1;
const POLLOUT = 4;
const EAGAIN = 11;
const TIOCGPGRP = 0x540f;
const TIOCGWINSZ = 0x5413;
const F_SETFD = 2;
const RLIMIT_NOFILE = 7;
const SIG_DFL = 0;
const SIG_IGN = 1;

export type Libc = ReturnType<typeof createLibc>;

export function createLibc(call: SystemCall, architecture: string) {
  const kernel = createKernel(numbers, call, architecture);
  const { attempt, checked } = kernel;

  function setSignal(signal: number, disposition: number): void {
    const action = new Uint32Array(8); // the kernel's struct sigaction: handler, flags, restorer, mask
    action[0] = disposition;
    attempt("rt_sigaction", signal, action, null, 8);
  }

  /** Calls `refused` with a negative error number; it returns whether to try again. */
  function send(fd: number, bytes: Uint8Array, refused: (error: number) => boolean, toSocket = false): void {
    for (let sent = 0; sent < bytes.length; ) {
      const rest = bytes.subarray(sent);
      const result = toSocket
        ? attempt("sendto", fd, rest, rest.length, MSG_NOSIGNAL, null)
        : attempt("write", fd, rest, rest.length);
      if (result >= 0) sent += result;
      else if (!refused(result)) return;
    }
  }

  function writeAll(fd: number, content: string | Uint8Array): void {
    send(fd, typeof content === "string" ? encodeBytes(content) : content, (error) => {
      throw failure("write", error);
    });
  }

  /** Returns struct rlimit: soft, hard. Each is two halves, to avoid big integers. */
  function descriptorLimits(): Uint32Array {
    const limits = new Uint32Array(4);
    checked("prlimit", 0, RLIMIT_NOFILE, null, limits);
    return limits;
  }

  return {
    ...createFiles(kernel),
    writeAll,

    /** Writes to a connection. If the other side has closed it, that is an error, not SIGPIPE. */
    sendAll(fd: number, text: string): void {
      const thrown = (error: number): never => {
        throw failure("sendto", error);
      };
      send(fd, encodeBytes(text), thrown, true);
    },

    /** Writes to a terminal or a pipe. Waits for a slow reader, and ends silently if there is no reader. */
    say(fd: number, text: string): void {
      send(fd, encodeBytes(text), (error) => {
        if (error === -EAGAIN) attempt("ppoll", new Int32Array([fd, POLLOUT]), 1, null, null, 0);
        return error === -EAGAIN;
      });
    },

    /** Returns a descriptor from which the content can be read once. The kernel frees it with its last descriptor. */
    memoryFile(content: string | Uint8Array): number {
      const fd = checked("memfd_create", "isolate", 0);
      writeAll(fd, content);
      checked("lseek", fd, 0, 0); // SEEK_SET
      return fd;
    },

    socketPair(): readonly [number, number] {
      const pair = new Int32Array(2);
      checked("socketpair", AF_UNIX, SOCK_STREAM, 0, pair);
      return [pair[0] ?? -1, pair[1] ?? -1];
    },

    /** Whether the kernel can keep a process from abstract Unix sockets: landlock(7), ABI 6, Linux 6.12. */
    scopesSockets: (): boolean => attempt("landlock_create_ruleset", null, 0, 1) >= 6, // LANDLOCK_CREATE_RULESET_VERSION

    /** Connects. The descriptor is blocking and stays open across exec: the connection is the lease. */
    connectUnix(path: string): number {
      const address = new Uint8Array(110); // struct sockaddr_un: family, path
      const bytes = encodeBytes(path);
      if (bytes.length > 107) throw new SystemCallError("connect", "ENAMETOOLONG");
      address[0] = AF_UNIX;
      address.set(bytes, 2);
      const fd = checked("socket", AF_UNIX, SOCK_STREAM, 0);
      const result = attempt("connect", fd, address, address.length);
      if (result === 0) return fd;
      attempt("close", fd);
      throw failure("connect", result);
    },

    /** Returns the number of bytes read; 0 at the end. */
    read: (fd: number, into: Uint8Array): number => checked("read", fd, into, into.length),

    /** Waits at most that long. Returns whether data or the end of the stream can be read. */
    readable(fd: number, milliseconds: number): boolean {
      const entry = new Int32Array([fd, POLLIN]); // struct pollfd: fd, events, revents
      const time = new Uint32Array([milliseconds / 1000, 0, (milliseconds % 1000) * 1_000_000, 0]); // struct timespec
      return attempt("ppoll", entry, 1, time, null, 0) > 0;
    },

    /** Returns the read end and the write end. */
    pipe(): readonly [number, number] {
      const ends = new Int32Array(2);
      checked("pipe2", ends, 0);
      return [ends[0] ?? -1, ends[1] ?? -1];
    },

    close: (fd: number): void => void attempt("close", fd),

    ownPid: (): number => attempt("getpid"),
    parentPid: (): number => attempt("getppid"),
    uid: (): number => attempt("getuid"),
    gid: (): number => attempt("getgid"),

    /** isatty(3). */
    isTerminal: (fd: number): boolean => attempt("ioctl", fd, TCGETS, new Uint8Array(256)) === 0,

    /** Returns the terminal's width; `undefined` if the descriptor is not a terminal, or the width is unknown. */
    columns(fd: number): number | undefined {
      const size = new Uint16Array(4); // struct winsize: rows, columns, pixels
      return attempt("ioctl", fd, TIOCGWINSZ, size) === 0 && size[1] ? size[1] : undefined;
    },

    /** Whether this process is in the foreground; `undefined` if the descriptor is not its controlling terminal. */
    isForeground(fd: number): boolean | undefined {
      const group = new Int32Array(1);
      if (attempt("ioctl", fd, TIOCGPGRP, group) < 0) return undefined;
      return group[0] === attempt("getpgid", 0);
    },

    ignoreSignal: (signal: number): void => setSignal(signal, SIG_IGN),
    defaultSignal: (signal: number): void => setSignal(signal, SIG_DFL),

    /** Makes only these descriptors above 2 survive exec(2). Node makes the first three close-on-exec too. */
    keepOnly(descriptors: readonly number[]): void {
      checked("close_range", 3, 0xffffffff, 4); // CLOSE_RANGE_CLOEXEC, Linux 5.11
      for (const fd of [0, 1, 2]) attempt("fcntl", fd, F_SETFD, 0); // one may be closed
      for (const fd of descriptors) checked("fcntl", fd, F_SETFD, 0);
    },

    softDescriptorLimit(): number {
      const [low = 0, high = 0] = descriptorLimits();
      return low + high * 2 ** 32;
    },

    setSoftDescriptorLimit(soft: number): void {
      const limit = descriptorLimits();
      const hard = (limit[2] ?? 0) + (limit[3] ?? 0) * 2 ** 32;
      const wanted = Math.min(soft, hard);
      limit[0] = wanted; // modulo 2 ** 32
      limit[1] = wanted / 2 ** 32;
      checked("prlimit", 0, RLIMIT_NOFILE, limit, null);
    },

    /** Keeps the caller's keys out of the sandbox: keyctl_join_session_keyring(3). */
    joinNewSessionKeyring(): void {
      const result = attempt("keyctl", 1, 0, 0);
      if (result >= 0) return;
      const error = failure("keyctl", result);
      if (error.errno !== "ENOSYS") throw error; // a kernel without keys
    },

    /** Does not return unless it fails. */
    execute(program: string, argv: readonly string[], environment: readonly string[]): never {
      throw failure(`execve ${program}`, attempt("execve", program, [program, ...argv], environment));
    },
  };
}
