import { mkdir, rm } from "node:fs/promises";
import { type CommandLog, command } from "./command.ts";

/** Needed to build and check the project, but not to run it or its tests: some 400 MB that the guest does not need. */
const leftOut = [
  ".git",
  "dist/js/.tsbuildinfo",
  "dist/package",
  "dist/arm64",
  "dist/*_arm64.deb",
  "node_modules/.cache",
  "node_modules/bun",
  "node_modules/@oven",
  "node_modules/typescript",
  "node_modules/@typescript",
  "node_modules/@biomejs",
  "node_modules/@types",
  "node_modules/better-sqlite3/deps",
  "node_modules/*/build/Release/obj",
  "node_modules/*/build/Release/obj.target",
  "node_modules/*/build/Release/*.a",
] as const;

/** Beside the project: the Debian root from which templates are made, since the guest cannot reach a mirror. */
export const rootTarName = ".debian-root.tar";

/** Sparse; the tests may write beside the project. */
const size = "4G";

/**
 * Makes a raw ext4 file with the built project, owned by root. A disk is available right after the boot, while over ssh
 * the emulated processor would have to unpack thousands of small files.
 *
 * `staging` is created and removed again. `rootTar` is put on the disk, too.
 */
export async function makeProjectDisk(
  log: CommandLog,
  project: string,
  rootTar: string,
  staging: string,
  file: string,
): Promise<void> {
  await mkdir(staging);
  const excluded = leftOut.map((path) => `--exclude=./${path}`);
  const tarball = `${staging}.tar`;
  await command(log, "tar", ["-C", project, "--anchored", "--wildcards", ...excluded, "-cf", tarball, "."]);
  await command(log, "tar", ["-C", staging, "--no-same-owner", "-xf", tarball]);
  await command(log, "cp", ["--reflink=auto", rootTar, `${staging}/${rootTarName}`]);
  const mkfs = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", staging, file, size];
  if (process.getuid?.() === 0) await command(log, "env", mkfs);
  // In a user namespace the caller's files appear as root's, so they belong to root on the disk.
  else await command(log, "unshare", ["--map-root-user", ...mkfs]);
  await rm(tarball);
  await rm(staging, { recursive: true });
}
