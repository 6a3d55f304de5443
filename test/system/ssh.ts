import { hostKeyAlias } from "./guest-root.ts";
import type { Image } from "./image.ts";

/** ssh's exit code for "no connection"; a command's own 255 looks the same. */
export const connectionLost = 255;

/** The arguments of `ssh` for root's account in a guest; a remote command may follow. */
export function sshArguments(image: Image, port: number): string[] {
  const options = {
    IdentitiesOnly: "yes",
    UserKnownHostsFile: image.knownHosts,
    HostKeyAlias: hostKeyAlias,
    StrictHostKeyChecking: "yes",
    BatchMode: "yes",
    LogLevel: "ERROR",
    // The emulated machine may be busy for a long time; QEMU's end reveals a dead one.
    ConnectTimeout: "60",
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  return ["-F", "/dev/null", "-i", image.key, "-p", String(port), ...flags, "root@127.0.0.1"];
}

/** One line that a POSIX shell parses into exactly these words: ssh joins its arguments with spaces for a shell. */
export function shellLine(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
}
