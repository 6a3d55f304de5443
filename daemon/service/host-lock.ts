/** The daemon's requirements on its host, checked before it touches anything. */
import { chmodSync, mkdirSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { IsolateError } from "../../protocol/errors.ts";
import { tryLock } from "../linux/files.ts";

/**
 * Throws `cannot-start` if not root, or in another mount namespace than the host's, where its mounts would be useless.
 */
export function requireHost(): void {
  if (process.getuid?.() !== 0)
    throw new IsolateError("cannot-start", {
      wrong: "only root may",
      fix: "run it with sudo, or: systemctl start isolated",
    });
  if (rootMountId("self") !== rootMountId("1")) {
    throw new IsolateError("cannot-start", {
      wrong: "it runs in its own mount namespace, so its mounts would not be visible on the host",
      fix: "start it outside containers; in a unit, set PrivateMounts=no and no option of systemd.exec(5) that implies it",
    });
  }
}

/**
 * Mount ids differ between mount namespaces (proc_pid_mountinfo(5), field 1). The link /proc/1/ns/mnt would tell as
 * well, but a hardened host hides it even from root.
 */
function rootMountId(pid: string): string | undefined {
  const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8")
    .split("\n")
    .map((line) => line.split(" "));
  return mounts.find((fields) => fields[4] === "/")?.[0];
}

/** Makes the directory, accessible to root only, and locks it for the life of this process. Throws `cannot-start`. */
export function lockStateDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(directory);
  if (uid !== 0 || (mode & 0o022) !== 0) {
    throw new IsolateError("cannot-start", {
      wrong: `users other than root can write to ${directory}`,
      fix: `chown root ${directory}; chmod 700 ${directory}`,
    });
  }
  chmodSync(directory, 0o700); // systemd makes it 0755, but it records the users' commands
  // Kept open until the process ends; the kernel then releases the lock.
  const lock = openSync(join(directory, "lock"), "a", 0o600);
  if (!tryLock(lock)) {
    throw new IsolateError("cannot-start", {
      wrong: `another daemon uses ${directory}`,
      fix: "stop it first, or give another --state-dir",
    });
  }
}
