/** What a daemon needs of its host before it may touch anything. */
import { chmodSync, mkdirSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { IsolateError } from "../../protocol/errors.ts";
import { tryLock } from "../linux/files.ts";

/** Throws `cannot-start`: mounts made by anybody else, or in a namespace of its own, would serve nobody. */
export function requireHost(): void {
  if (process.getuid?.() !== 0)
    throw new IsolateError("cannot-start", {
      wrong: "only root may",
      fix: "run it with sudo, or by systemctl start isolated",
    });
  if (rootMountId("self") !== rootMountId("1")) {
    throw new IsolateError("cannot-start", {
      wrong: "it runs in a mount namespace of its own, where its mounts would reach nobody",
      fix: "start it outside of containers; in a unit, set PrivateMounts=no and none of the options of systemd.exec(5) that imply it",
    });
  }
}

/**
 * Each mount namespace has mounts of its own, with ids of their own (proc_pid_mountinfo(5), field 1). The link
 * /proc/1/ns/mnt would tell as well, but a hardened host hides it even from root.
 */
function rootMountId(pid: string): string | undefined {
  const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8")
    .split("\n")
    .map((line) => line.split(" "));
  return mounts.find((fields) => fields[4] === "/")?.[0];
}

/** Makes the directory, root's alone, and locks it for the life of this process. Throws `cannot-start`. */
export function lockStateDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(directory);
  if (uid !== 0 || (mode & 0o022) !== 0) {
    throw new IsolateError("cannot-start", {
      wrong: `${directory} can be written by others than root`,
      fix: `chown root ${directory}; chmod 700 ${directory}`,
    });
  }
  chmodSync(directory, 0o700); // systemd makes it 0755, and it names who ran what
  // Kept open to the end of the process; the kernel lets the lock go however that comes.
  const lock = openSync(join(directory, "lock"), "a", 0o600);
  if (!tryLock(lock)) {
    throw new IsolateError("cannot-start", {
      wrong: `another daemon uses ${directory}`,
      fix: "stop it first, or give another --state-dir",
    });
  }
}
