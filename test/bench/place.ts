/**
 * The bench's place: its own ext4 file system, made with the defaults of mkfs.ext4(8), for everything that is compared,
 * and a directory in memory for the files that an ordinary host has in /run. However the bench ends, nothing is left.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { mountImage } from "../support/image.ts";
import { mountsBelow, type WorldOptions } from "../support/world.ts";
import { descendants } from "./watch.ts";

export interface Place {
  /** The bench's own file system. */
  readonly disk: string;
  readonly memory: string;
}

export const worldIn = ({ disk, memory }: Place): WorldOptions => ({ parent: disk, runtimeParent: memory });

/** The file is sparse: unwritten blocks take no space. */
const imageMebibytes = 32_768;
const signals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** `leaving` is called when this process ends, after all its descendants have ended. It must be synchronous. */
export async function createPlace(leaving: (place: Place) => void): Promise<Place> {
  adoptOrphans();
  const inMemory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const [outer, memory] = [tmpdir(), inMemory].map((parent) => mkdtempSync(join(parent, "isolate-bench-"))) as [
    string,
    string,
  ];
  const disk = join(outer, "disk");
  process.once("exit", () => {
    endDescendants();
    leaving({ disk, memory });
    for (const directory of [memory, outer]) removeWithMounts(directory);
  });
  // `on`, not `once`: a second signal must not interrupt the cleanup.
  for (const [signal, number] of Object.entries(signals)) process.on(signal, () => process.exit(128 + number));
  await mountImage(join(outer, "image"), disk, imageMebibytes);
  for (const directory of [outer, memory, disk]) chmodSync(directory, 0o711);
  return { disk, memory };
}

/** Unmounts the deepest mount first. */
export function removeWithMounts(directory: string): void {
  for (const mountPoint of mountsBelow(directory)) execFileSync("umount", ["-l", "--", mountPoint]);
  rmSync(directory, { recursive: true, force: true });
}

/** Orphans, such as podman's daemons, become children of this process: PR_SET_CHILD_SUBREAPER(2const). */
function adoptOrphans(): void {
  const setChildSubreaper = 36;
  koffi.load("libc.so.6").func("prctl", "int", ["int", "ulong"])(setChildSubreaper, 1);
}

/** Milliseconds for processes to end after SIGTERM, and for all of them to be gone. */
const grace = 1000;
const patience = 10_000;

function endDescendants(): void {
  const begun = performance.now();
  const asked = new Set<number>();
  for (;;) {
    const left = descendants(process.pid).filter(isAlive);
    const passed = performance.now() - begun;
    if (left.length === 0 || passed > patience) return;
    for (const pid of left) {
      if (passed > grace) endProcess(pid, "SIGKILL");
      else if (!asked.has(pid)) endProcess(pid, "SIGTERM");
      asked.add(pid);
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
}

/** Ignores zombies, since nobody waits for adopted processes: proc_pid_stat(5), field 3. */
function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

export function endProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended in the meantime
  }
}
