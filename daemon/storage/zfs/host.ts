/** Can this host serve clones by ZFS? */
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { IsolateError } from "../../../protocol/errors.ts";
import { CommandError } from "../../linux/child-process.ts";
import type { Zfs } from "./command.ts";
import { parseVersion } from "./parse.ts";

export interface HostFacts {
  /** `zfs version` could be run. */
  readonly commands: boolean;
  /** Of the loaded module, such as `2.3.9-1`; undefined when it is not loaded. */
  readonly module: string | undefined;
  /** uname(2)'s, such as `6.12.48-amd64`. */
  readonly kernel: string;
}

/** What to say where it cannot; undefined where it can. */
export function whatIsMissing({ commands, module, kernel }: HostFacts): { what: string; fix: string } | undefined {
  const install = "install OpenZFS 2.2 or newer: apt-get install zfsutils-linux (Debian: from contrib, with zfs-dkms)";
  if (!commands) return { what: "the commands zfs(8) and zpool(8) are missing", fix: install };
  if (module === undefined) return { what: "the kernel module of ZFS is not loaded", fix: "as root: modprobe zfs" };
  if (!isAtLeast(module, 2, 2)) {
    return { what: `OpenZFS ${module.trim()} cannot map the ids of a mount, which needs 2.2`, fix: install };
  }
  if (!isAtLeast(kernel, 5, 12)) {
    return { what: `Linux ${kernel} cannot map the ids of a mount, which needs 5.12`, fix: "boot a newer kernel" };
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

/** `zfs version` fails without the module too, having run all the same. */
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
