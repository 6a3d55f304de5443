/** Checks whether this host supports clones on ZFS. */
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { IsolateError } from "../../../protocol/errors.ts";
import { CommandError } from "../../linux/child-process.ts";
import type { Zfs } from "./command.ts";
import { parseVersion } from "./parse.ts";

export interface HostFacts {
  /** Whether `zfs version` could be run. */
  readonly commands: boolean;
  /** The version of the loaded module, such as `2.3.9-1`; `undefined` if it is not loaded. */
  readonly module: string | undefined;
  /** The release from uname(2), such as `6.12.48-amd64`. */
  readonly kernel: string;
}

/** Returns what is missing and the fix; `undefined` if nothing is. */
export function whatIsMissing({ commands, module, kernel }: HostFacts): { what: string; fix: string } | undefined {
  const install = "install OpenZFS 2.2 or newer: apt-get install zfsutils-linux (Debian: from contrib, with zfs-dkms)";
  if (!commands) return { what: "the commands zfs(8) and zpool(8) are missing", fix: install };
  if (module === undefined) return { what: "the kernel module of ZFS is not loaded", fix: "as root: modprobe zfs" };
  if (!isAtLeast(module, 2, 2)) {
    return { what: `OpenZFS ${module.trim()} lacks ID-mapped mounts, which need 2.2`, fix: install };
  }
  if (!isAtLeast(kernel, 5, 12)) {
    return { what: `Linux ${kernel} lacks ID-mapped mounts, which need 5.12`, fix: "boot a newer kernel" };
  }
  return undefined;
}

function isAtLeast(text: string, major: number, minor: number): boolean {
  const version = parseVersion(text);
  return version !== undefined && (version[0] > major || (version[0] === major && version[1] >= minor));
}

/** Throws `unsupported-host`. */
export async function checkHost(zfs: Zfs): Promise<void> {
  const missing = whatIsMissing({
    commands: await canRun(zfs),
    module: moduleVersion("/sys/module/zfs/version"),
    kernel: release(),
  });
  if (missing) throw new IsolateError("unsupported-host", missing);
}

/** `zfs version` also fails without the module, although it has run. */
async function canRun(zfs: Zfs): Promise<boolean> {
  return zfs(["version"]).then(
    () => true,
    (error: unknown) => error instanceof CommandError && error.code !== null,
  );
}

function moduleVersion(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
