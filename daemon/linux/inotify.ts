/** Reports the end of file systems: inotify(7). */
import { checked, func, wouldBlock } from "./call.ts";

const inotifyInit = func("inotify_init1", "int", ["int"]);
const inotifyAddWatch = func("inotify_add_watch", "int", ["int", "str", "uint"]);
const readCall = func("read", "long", ["int", "void *", "size_t"]);
const IN_UNMOUNT = 0x2000;
const IN_Q_OVERFLOW = 0x4000;

/** Returns a descriptor for the next two functions. */
export function openInotify(): number {
  const nonBlockingAndCloexec = 0o4000 | 0o2000000;
  return checked("inotify_init1", inotifyInit(nonBlockingAndCloexec));
}

/** Returns the number that reports the end of the file system of `path`. Watching does not keep it alive. */
export function watchFileSystem(inotify: number, path: string): number {
  return checked("inotify_add_watch", inotifyAddWatch(inotify, path, IN_UNMOUNT), path);
}

/**
 * Returns the watched file systems that have ended since the last call: the kernel has shut down the superblock, so no
 * mount of it is left in any namespace, and no open file. `undefined` if the kernel's event queue has overflowed.
 */
export function endedFileSystems(inotify: number): number[] | undefined {
  const events = Buffer.alloc(4096);
  const ended: number[] = [];
  for (;;) {
    const length = Number(readCall(inotify, events, events.length));
    if (length < 0 && wouldBlock()) return ended;
    checked("read", length);
    for (let at = 0; at < length; at += 16 + events.readUInt32LE(at + 12)) {
      const mask = events.readUInt32LE(at + 4);
      if ((mask & IN_Q_OVERFLOW) !== 0) return undefined;
      if ((mask & IN_UNMOUNT) !== 0) ended.push(events.readInt32LE(at));
    }
  }
}
