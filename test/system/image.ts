import { copyFile, mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { buildDirectory, imageDirectory, removeOthers, removeTree } from "./cache.ts";
import { type CommandLog, command, openLog } from "./command.ts";
import { customizeScript, guestFiles, hostKeyAlias, initramfsConfig } from "./guest-root.ts";
import { ensureHostTools, searchPath } from "./host-tools.ts";
import { openApt } from "./mirror.ts";
import { guestBuildPackages, guestComponents, guestPackages, guestSuite } from "./packages.ts";
import type { Progress } from "./progress.ts";

/** The files of a finished guest image. */
export interface Image {
  readonly kernel: string;
  readonly initrd: string;
  /** A raw ext4 file system. Boots only read it: their writes go to a file that is gone when they end. */
  readonly disk: string;
  /** The private key that opens root's account in the guest. */
  readonly key: string;
  /** The guest's host key under `hostKeyAlias`. */
  readonly knownHosts: string;
}

/** Increase this when the code below makes a different image from the same inputs. */
const codeVersion = 1;

/** Room for the tests; the file is sparse. No journal: a crashed guest is thrown away. */
const diskSize = "6G";
const diskFeatures = "^has_journal";

const inputs = {
  codeVersion,
  guestSuite,
  guestComponents,
  guestPackages,
  guestBuildPackages,
  guestFiles,
  initramfsConfig,
  customizeScript,
  diskSize,
  diskFeatures,
};

/** Ensures that the host's tools and the guest's image exist. Builds the image if it is not in the cache. */
export async function ensureImage(cache: string, say: Progress): Promise<Image> {
  process.env.PATH = searchPath(process.env);
  const directory = imageDirectory(cache, inputs);
  const work = buildDirectory(directory);
  await mkdir(work, { recursive: true });
  const log = await openLog(join(cache, "build.log"));
  try {
    await ensureHostTools(log, say, join(work, "apt"));
    if (!(await exists(directory))) await build(log, say, work, directory);
    await removeOthers(log, cache, directory);
  } finally {
    await removeTree(log, work);
    await log.file.close();
  }
  return imageIn(directory);
}

function imageIn(directory: string): Image {
  return {
    kernel: join(directory, "vmlinuz"),
    initrd: join(directory, "initrd"),
    disk: join(directory, "root.ext4"),
    key: join(directory, "key"),
    knownHosts: join(directory, "known_hosts"),
  };
}

async function build(log: CommandLog, say: Progress, work: string, directory: string): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Error(
      "cannot build the guest's image as an ordinary user: run the system tests once as root, later runs reuse it",
    );
  }
  say(`building the guest's image, some 6 minutes; details in ${log.path}`);
  const done = join(work, "image");
  const image = imageIn(done);
  const root = join(work, "root");
  await mkdir(done);
  await command(log, "ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "isolate-test", "-f", image.key]);

  say("installing Debian and building the zfs module");
  const { mirror } = await openApt(log, join(work, "apt"));
  await debootstrap(log, work, root, mirror, `${image.key}.pub`);

  say("making the disk");
  const [kernel, initrd] = await Promise.all([bootFile(root, "vmlinuz-"), bootFile(root, "initrd.img-")]);
  await copyFile(kernel, image.kernel);
  await copyFile(initrd, image.initrd);
  const hostKey = await readFile(join(root, "etc/ssh/ssh_host_ed25519_key.pub"), "utf8");
  await writeFile(image.knownHosts, `${hostKeyAlias} ${hostKey}`);
  const mkfs = ["-q", "-F", "-O", diskFeatures, "-E", "lazy_itable_init=0", "-d", root, image.disk, diskSize];
  await command(log, "mkfs.ext4", mkfs);
  await publish(done, directory);
  say("the guest's image is built");
}

/** Runs mmdebstrap in its own mount namespace, so that no mount outlives it. */
async function debootstrap(
  log: CommandLog,
  work: string,
  root: string,
  mirror: string,
  publicKey: string,
): Promise<void> {
  const files = join(work, "files");
  await writeGuestFiles(files, await readFile(publicKey, "utf8"));
  const script = join(work, "customize.sh");
  await writeFile(script, customizeScript);
  const initramfs = join(work, "initramfs.conf");
  await writeFile(initramfs, initramfsConfig);
  const excluded = ["man", "doc", "locale", "info"].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);
  await command(log, "unshare", [
    "--mount",
    "--propagation=private",
    "mmdebstrap",
    "--mode=root",
    "--variant=apt",
    `--components=${guestComponents.join(",")}`,
    ...excluded,
    `--include=${[...guestPackages, ...guestBuildPackages].join(",")}`,
    `--setup-hook=install -D -m 644 '${initramfs}' "$1/etc/initramfs-tools/conf.d/isolate-guest"`,
    `--customize-hook=cp -R '${files}/.' "$1"`,
    `--customize-hook=cp '${script}' "$1/customize.sh"; chroot "$1" sh /customize.sh; rm "$1/customize.sh"`,
    // The cleanup would remove files that are set on purpose above.
    "--skip=cleanup/reproducible",
    guestSuite,
    root,
    mirror,
  ]);
}

async function writeGuestFiles(directory: string, publicKey: string): Promise<void> {
  const files = { ...guestFiles, "/root/.ssh/authorized_keys": publicKey };
  for (const [path, content] of Object.entries(files)) {
    const file = join(directory, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}

async function bootFile(root: string, prefix: string): Promise<string> {
  const names = (await readdir(join(root, "boot"))).filter((name) => name.startsWith(prefix));
  if (names.length === 1 && names[0] !== undefined) return join(root, "boot", names[0]);
  throw new Error(`cannot find the guest's one ${prefix}*: its /boot has ${names.join(", ") || "none"}`);
}

/** Another run may have finished the same image in the meantime; that image is equally good. */
async function publish(done: string, directory: string): Promise<void> {
  await rename(done, directory).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "ENOTEMPTY" && cause.code !== "EEXIST") throw cause;
  });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
