import { hostKeyAlias } from "./guest-root.ts";
import type { Image } from "./image.ts";

/** ssh's own code for "no connection"; a command's 255 looks the same. */
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
    // The emulated machine may be busy for long; a dead one is noticed by QEMU's end.
    ConnectTimeout: "60",
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  return ["-F", "/dev/null", "-i", image.key, "-p", String(port), ...flags, "root@127.0.0.1"];
}

/** One line that a POSIX shell reads back as exactly these words: ssh joins its arguments with spaces and gives them to a shell. */
export function shellLine(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
}
