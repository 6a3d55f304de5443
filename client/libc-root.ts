/**
 * What only root calls: mounts, and giving root up. The raw system calls change one thread alone, which exec(2) then
 * makes the only one; libc's own setresuid(3) would ask the runtime's other threads to follow, and they may not answer.
 */
import { int, type Kernel, long, type Signatures } from "./libc-call.ts";

export const rootSignatures = {
  unshare: int("unshare", "i32"),
  mount: int("mount", "text", "text", "text", "i64", "text"),
  setgroups: long("syscall", "i64", "i64", "bytes"),
  setIds: long("syscall", "i64", "i64", "i64", "i64"),
  openTree: long("syscall", "i64", "i64", "text", "i64"),
  moveMount: long("syscall", "i64", "i64", "text", "i64", "text", "i64"),
  mountSetattr: long("syscall", "i64", "i64", "text", "i64", "bytes", "i64"),
} as const satisfies Signatures;

// Numbers from 424 on are the same everywhere (syscalls(2)).
const numbers = {
  x64: { setgroups: 116, setresuid: 117, setresgid: 119 },
  arm64: { setgroups: 159, setresuid: 147, setresgid: 149 },
} as const;
const openTree = 428;
const moveMount = 429;
const mountSetattr = 442;

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const O_CLOEXEC = 0o2000000;

export function createRootCalls({ attempt, checked }: Kernel<keyof typeof rootSignatures>, architecture: string) {
  const nr = architecture === "arm64" ? numbers.arm64 : numbers.x64;

  return {
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
      return checked("open_tree", attempt("openTree", openTree, AT_FDCWD, path, flags));
    },

    /** Stored ids will appear as those of the user namespace, and the other way round (mount_setattr(2)). */
    mapIds(mount: number, userns: number): void {
      const attributes = Buffer.alloc(32); // struct mount_attr: set, clear, propagation, userns
      attributes.writeBigUInt64LE(0x100000n, 0); // MOUNT_ATTR_IDMAP
      attributes.writeBigUInt64LE(BigInt(userns), 24);
      const flags = AT_EMPTY_PATH | AT_RECURSIVE;
      const result = attempt("mountSetattr", mountSetattr, mount, "", flags, attributes, attributes.length);
      checked("mount_setattr", result);
    },

    attach(mount: number, target: string): void {
      const fromDescriptor = 4; // MOVE_MOUNT_F_EMPTY_PATH
      checked("move_mount", attempt("moveMount", moveMount, mount, "", AT_FDCWD, target, fromDescriptor));
    },

    /** Gives up root for good, in this thread. The caller verifies. */
    becomeUser(uid: number, gid: number): void {
      checked("setgroups", attempt("setgroups", nr.setgroups, 0, null));
      checked("setresgid", attempt("setIds", nr.setresgid, gid, gid, gid));
      checked("setresuid", attempt("setIds", nr.setresuid, uid, uid, uid));
    },
  };
}
export type RootCalls = ReturnType<typeof createRootCalls>;
