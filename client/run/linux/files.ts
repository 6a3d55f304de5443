/** File operations by system calls: the starter has nothing else. */
import { decodeBytes, decodeText, joinBytes } from "../../../protocol/bytes.ts";
import { failure, type Kernel, type Numbers, SystemCallError } from "./call.ts";

export const fileNumbers = {
  openat: { x64: 257, arm64: 56 },
  read: { x64: 0, arm64: 63 },
  close: { x64: 3, arm64: 57 },
  faccessat: { x64: 269, arm64: 48 },
  readlinkat: { x64: 267, arm64: 78 },
  statx: { x64: 332, arm64: 291 },
} as const satisfies Numbers;

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const O_NOCTTY = 0o400;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const X_OK = 1;
const pathMaximum = 4096;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;

export function createFiles({ attempt, checked }: Kernel<keyof typeof fileNumbers>) {
  /** Opens without waiting, even for a FIFO or a device. Close-on-exec. */
  const openAtOnce = (path: string): number => checked("openat", AT_FDCWD, path, O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  /** Opens for reading. Close-on-exec. */
  const open = (path: string): number => checked("openat", AT_FDCWD, path, O_CLOEXEC);
  /**
   * Opens only as a reference to the file: open(2), O_PATH. Close-on-exec. First with a slash at the end, which mounts an
   * automount point; without it the reference would be to the directory below the mount.
   */
  const openPath = (path: string): number => {
    const directory = path === "" ? -1 : attempt("openat", AT_FDCWD, `${path}/`, O_CLOEXEC | O_PATH);
    return directory >= 0 ? directory : checked("openat", AT_FDCWD, path, O_CLOEXEC | O_PATH);
  };

  function readLink(path: string): string {
    const buffer = new Uint8Array(pathMaximum);
    return decodeBytes(buffer.subarray(0, checked("readlinkat", AT_FDCWD, path, buffer, buffer.length)));
  }

  /** `status`: struct statx. */
  function typeOf(status: Uint16Array): "directory" | "link" | "file" {
    const type = (status[14] ?? 0) & S_IFMT; // stx_mode
    return type === S_IFLNK ? "link" : type === S_IFDIR ? "directory" : "file";
  }

  /** Returns the kind of a path; a link is not followed. */
  function kindOf(path: string): "absent" | "directory" | "link" | "file" {
    const status = new Uint16Array(128); // struct statx
    const result = attempt("statx", AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 1, status);
    if (result >= 0) return typeOf(status);
    const { errno } = failure("statx", result);
    if (errno === "ENOENT" || errno === "ENOTDIR") return "absent";
    throw new SystemCallError(`statx ${path}`, errno);
  }

  /** Where what is open lies now: absolute, normal and without links. Throws ENOENT where it was removed. */
  function pathOf(fd: number): string {
    const found = readLink(`/proc/self/fd/${fd}`);
    if (kindOf(found) === "absent") throw new SystemCallError("openat", "ENOENT");
    return found;
  }

  function readText(path: string): string {
    const fd = open(path);
    const chunks: Uint8Array[] = [];
    try {
      for (;;) {
        const chunk = new Uint8Array(pathMaximum);
        const length = checked("read", fd, chunk, chunk.length);
        if (length === 0) return decodeText(joinBytes(chunks));
        chunks.push(chunk.subarray(0, length));
      }
    } finally {
      attempt("close", fd);
    }
  }

  /** Returns the owner's uid of an open file. */
  function ownerOf(fd: number): number {
    const status = new Uint32Array(64); // struct statx
    checked("statx", fd, "", AT_EMPTY_PATH, 8, status); // STATX_UID
    return status[5] ?? 0; // stx_uid
  }

  /** Returns the file's unique identity on the host: inode and device. */
  function identityOf(fd: number): string {
    const status = new Uint32Array(64); // struct statx
    checked("statx", fd, "", AT_EMPTY_PATH, 0x100, status); // STATX_INO
    return [status[8], status[9], status[34], status[35]].join(":"); // stx_ino, stx_dev_major, stx_dev_minor
  }

  return {
    open,
    openAtOnce,
    openPath,
    ownerOf,
    readLink,
    kindOf,
    pathOf,

    /** Of what is open. */
    kindOfOpened(fd: number): "directory" | "link" | "file" {
      const status = new Uint16Array(128); // struct statx
      checked("statx", fd, "", AT_EMPTY_PATH, 1, status);
      return typeOf(status);
    },

    readText,

    /** Returns the file's text; `undefined` if it cannot be read. */
    readTextIfAny(path: string): string | undefined {
      try {
        return readText(path);
      } catch (error) {
        if (error instanceof SystemCallError) return undefined;
        throw error;
      }
    },

    isSameFile: (one: number, other: number): boolean => identityOf(one) === identityOf(other),

    isExecutable: (path: string): boolean => attempt("faccessat", AT_FDCWD, path, X_OK) === 0,

    /** Returns an absolute path without links, as realpath(3) does: the kernel names the file that it opened. */
    realPath(path: string): string {
      const fd = openPath(path);
      try {
        return pathOf(fd);
      } finally {
        attempt("close", fd);
      }
    },
  };
}
