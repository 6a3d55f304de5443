import { createHash } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type CommandLog, command } from "./command.ts";

/** The directory that keeps the guest's image between runs. Losing it costs only the minutes of a build. */
export function cacheDirectory(env: NodeJS.ProcessEnv): string {
  return env.ISOLATE_TEST_CACHE ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "isolate-test");
}

/** The directory of the image made from these inputs: other inputs, other directory, so a cached image is never stale. */
export function imageDirectory(cache: string, inputs: unknown): string {
  const hash = createHash("sha256").update(JSON.stringify(inputs)).digest("hex").slice(0, 16);
  return join(cache, `vm-${hash}`);
}

/** A name for an image that is being built: it is renamed when complete, so an interrupted build never counts as cached. */
export function buildDirectory(image: string): string {
  return `${image}.building-${process.pid}`;
}

/** Removes images of other inputs and of dead builds. A running guest keeps its image: QEMU has the file open. */
export async function removeOthers(log: CommandLog, cache: string, keep: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  for (const name of await readdir(cache)) {
    const path = join(cache, name);
    if (!/^vm-[0-9a-f]{16}(\.building-\d+)?$/.test(name) || path === keep) continue;
    const builder = name.split("-").at(2);
    if (builder !== undefined && isRunning(Number(builder))) continue;
    await removeTree(log, path);
  }
}

/** A half-built root may still have the machine's own file systems mounted in it: never cross into them. */
export async function removeTree(log: CommandLog, path: string): Promise<void> {
  await command(log, "rm", ["-rf", "--one-file-system", "--", path]);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
