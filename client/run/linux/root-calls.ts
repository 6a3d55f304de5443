/**
 * System calls for root only: mounts, and giving up root. The raw calls change only the calling thread, and exec(2)
 * then ends the other threads. libc's setresuid(3) would ask the runtime's other threads to follow, and they may not
 * answer.
 */
import { everywhere, type Kernel, type Numbers } from "./call.ts";
import { fileNumbers } from "./files.ts";

export const rootNumbers = {
  openat: fileNumbers.openat,
  close: fileNumbers.close,
  mkdirat: { x64: 258, arm64: 34 },
  unshare: { x64: 272, arm64: 97 },
  mount: { x64: 165, arm64: 40 },
  prctl: { x64: 157, arm64: 167 },
  setgroups: { x64: 116, arm64: 159 },
  setresuid: { x64: 117, arm64: 147 },
  setresgid: { x64: 119, arm64: 149 },
  open_tree: everywhere(428),
  move_mount: everywhere(429),
  mount_setattr: everywhere(442),
} as const satisfies Numbers;

const PR_SET_PDEATHSIG = 1;
const PR_GET_PDEATHSIG = 2;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const O_CLOEXEC = 0o2000000;
const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const MS_SLAVE = 1 << 19;

export function createRootCalls({ attempt, checked }: Kernel<keyof typeof rootNumbers>) {
  function setAttributes(mount: number, { set = 0, propagation = 0, userns = 0 }): void {
    // struct mount_attr: set, clear, propagation, userns, of 64 bits each. Each is two halves, to avoid big integers.
    const attributes = Uint32Array.of(set, 0, 0, 0, propagation, 0, userns, 0);
    checked("mount_setattr", mount, "", AT_EMPTY_PATH | AT_RECURSIVE, attributes, 32);
  }

  return {
    /** Moves this thread into a mount namespace whose new mounts do not reach the host. */
    leaveMountNamespace(): void {
      checked("unshare", 0x00020000); // CLONE_NEWNS
      checked("mount", null, "/", null, 0x84000, null); // MS_SLAVE | MS_REC
    },

    mountTmpfs(target: string, options: string): void {
      checked("mount", "tmpfs", target, "tmpfs", 6, options); // MS_NOSUID | MS_NODEV
    },

    /**
     * A detached copy of the mounts at that path, or at what is open there, as a descriptor. What is mounted inside of it
     * later stays inside. Only mounts of this thread's own namespace are copied: `leaveMountNamespace` comes after this.
     */
    cloneTree(from: string | number): number {
      const flags = 1 | O_CLOEXEC | AT_RECURSIVE; // OPEN_TREE_CLONE
      const mount =
        typeof from === "string"
          ? checked("open_tree", AT_FDCWD, from, flags)
          : checked("open_tree", from, "", flags | AT_EMPTY_PATH);
      setAttributes(mount, { propagation: MS_SLAVE });
      return mount;
    },

    /** Maps stored ids to ids of the user namespace, and the reverse (mount_setattr(2)). */
    mapIds(mount: number, userns: number): void {
      setAttributes(mount, { set: 0x100000, userns }); // MOUNT_ATTR_IDMAP
    },

    makeReadOnly(mount: number): void {
      setAttributes(mount, { set: 1 }); // MOUNT_ATTR_RDONLY
    },

    makeDirectory: (path: string): void => void checked("mkdirat", AT_FDCWD, path, 0o777),

    /** Creates an empty file. */
    makeFile(path: string): void {
      attempt("close", checked("openat", AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666));
    },

    attach(mount: number, target: string): void {
      const fromDescriptor = 4; // MOVE_MOUNT_F_EMPTY_PATH
      checked("move_mount", mount, "", AT_FDCWD, target, fromDescriptor);
    },

    /** Acts as another user: a socket shows the user that connected it, unix(7), credentials(7). */
    asUser<T>(uid: number, gid: number, act: () => T): T {
      checked("setresgid", gid, gid, 0);
      try {
        checked("setresuid", uid, uid, 0);
        return act();
      } finally {
        checked("setresuid", 0, 0, 0);
        checked("setresgid", 0, 0, 0);
      }
    },

    /**
     * Gives up root permanently in this thread. The caller verifies the result. The parent death signal is set again,
     * because the kernel clears it when the ids change (prctl(2), PR_SET_PDEATHSIG).
     */
    becomeUser(uid: number, gid: number): void {
      const signal = new Int32Array(1);
      checked("prctl", PR_GET_PDEATHSIG, signal);
      checked("setgroups", 0, null);
      checked("setresgid", gid, gid, gid);
      checked("setresuid", uid, uid, uid);
      checked("prctl", PR_SET_PDEATHSIG, signal[0] ?? 0);
    },
  };
}
export type RootCalls = ReturnType<typeof createRootCalls>;
