/** Files by libc's own calls: loading `node:fs` costs 1.5 ms, a third of the runtime's whole start. */
import { decodeBytes } from "./bytes.ts";
import { int, type Kernel, long, type Signatures, SystemCallError } from "./libc-call.ts";

export const fileSignatures = {
  open: int("open", "text", "i32"),
  read: long("read", "i32", "bytes", "i64"),
  close: int("close", "i32"),
  access: int("access", "text", "i32"),
  realpath: long("realpath", "text", "bytes"),
  readlink: long("readlink", "text", "bytes", "i64"),
  statx: int("statx", "i32", "text", "i32", "i32", "bytes"),
} as const satisfies Signatures;

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const O_CLOEXEC = 0o2000000;
const X_OK = 1;
const pathMaximum = 4096;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;

export function createFiles({ attempt, checked, failure }: Kernel<keyof typeof fileSignatures>) {
  /** Close-on-exec. */
  const open = (path: string): number => checked("open", attempt("open", path, O_CLOEXEC));

  return {
    open,

    readText(path: string): string {
      const fd = open(path);
      const chunks: Uint8Array[] = [];
      try {
        for (;;) {
          const chunk = new Uint8Array(pathMaximum);
          const length = checked("read", attempt("read", fd, chunk, chunk.length));
          if (length === 0) return Buffer.concat(chunks).toString();
          chunks.push(chunk.subarray(0, length));
        }
      } finally {
        attempt("close", fd);
      }
    },

    isExecutable: (path: string): boolean => attempt("access", path, X_OK) === 0,

    /** Absolute, normal and without links. */
    realPath(path: string): string {
      const buffer = Buffer.alloc(pathMaximum);
      if (attempt("realpath", path, buffer) === 0) throw failure("realpath");
      return decodeBytes(buffer.subarray(0, buffer.indexOf(0)));
    },

    readLink(path: string): string {
      const buffer = Buffer.alloc(pathMaximum);
      return decodeBytes(buffer.subarray(0, checked("readlink", attempt("readlink", path, buffer, buffer.length))));
    },

    /** Of the thing itself, a link not followed. */
    kindOf(path: string): "absent" | "directory" | "link" | "file" {
      const status = Buffer.alloc(256); // struct statx
      if (attempt("statx", AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 1, status) < 0) {
        const error = failure("statx");
        if (error.errno === "ENOENT" || error.errno === "ENOTDIR") return "absent";
        throw new SystemCallError(`statx ${path}`, error.errno);
      }
      const type = status.readUInt16LE(28) & S_IFMT; // stx_mode
      return type === S_IFLNK ? "link" : type === S_IFDIR ? "directory" : "file";
    },
  };
}
