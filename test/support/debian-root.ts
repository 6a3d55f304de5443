/** A small real Debian as a tar archive, made once and cached outside the checkout: a missing cache only costs time. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "../system/cache.ts";
import { must } from "./process.ts";

const suite = "bookworm";
const variant = "apt";
/** systemd: for the engine that boots the init of the root filesystem. */
const include = "passwd,systemd-sysv";

/** Returns the archive's path. `ISOLATE_TEST_ROOT_TAR` names an existing archive to use. */
export async function debianTar(): Promise<string> {
  if (process.env.ISOLATE_TEST_ROOT_TAR) return process.env.ISOLATE_TEST_ROOT_TAR;
  const key = createHash("sha256")
    .update(JSON.stringify([suite, variant, include]))
    .digest("hex")
    .slice(0, 12);
  const path = join(cacheDirectory(process.env), `debian-${key}.tar`);
  if (existsSync(path)) return path;
  mkdirSync(cacheDirectory(process.env), { recursive: true });
  const partial = `${path}.${process.pid}.partial`;
  try {
    const slim = [
      "--dpkgopt=path-exclude=/usr/share/doc/*",
      "--dpkgopt=path-exclude=/usr/share/locale/*",
      "--dpkgopt=path-exclude=/usr/share/man/*",
    ];
    await must(
      ["mmdebstrap", `--variant=${variant}`, `--include=${include}`, "--format=tar", ...slim, suite, partial],
      { patience: 600_000 },
    );
    renameSync(partial, path);
  } finally {
    rmSync(partial, { force: true });
  }
  return path;
}
