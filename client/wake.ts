/**
 * Where the daemon is started only on demand (`on_demand` of isolated.toml) somebody has to stay until the sandbox has
 * ended, and then to connect: the socket unit starts the daemon, which finds that the holder of the lease is gone.
 * The client itself becomes the engine, so it leaves a second one behind.
 */
import type { Libc } from "./libc.ts";
import { SystemCallError } from "./libc-call.ts";
import { wakeWord } from "./wake-word.ts";

/** Milliseconds; a signal ends a look early. */
const look = 60_000;

/**
 * Starts the one that stays, in a session of its own, so that neither Ctrl-C nor the terminal's end reaches it. `self` is how
 * this program is started.
 */
export async function leaveWaker(socket: string, self: readonly string[]): Promise<void> {
  const { spawn } = await import("node:child_process");
  const [program = "", ...script] = self;
  const words = [...script, wakeWord, String(process.pid), socket];
  spawn(program, words, { detached: true, stdio: "ignore", cwd: "/", env: {} }).unref();
}

/** Waits for the end of the process, which is our parent and the engine by now, and connects once. */
export function wakeAfter([pid = "", socket = ""]: readonly string[], libc: Libc): void {
  try {
    const parent = libc.openProcess(Number(pid));
    // A parent that has ended already has given its number back.
    const lives = parent !== undefined && process.ppid === Number(pid);
    while (lives && !libc.readable(parent, look)) {}
    libc.close(libc.connectUnix(socket));
  } catch (error) {
    // Nobody is left to be told: the next use of the daemon does the same.
    if (!(error instanceof SystemCallError)) throw error;
  }
}
