/**
 * `npm run test:system -- [--shell] [--one-guest] [jest's arguments]`: the tests that need a real ZFS and a real systemd,
 * in two virtual machines that are made for them and then discarded. The second one runs the longest tests, and then the
 * tests of the installed package, with a reboot. `--one-guest` runs everything in one machine, one after the other.
 * Chosen tests run in one machine as well.
 *
 * `--shell` boots the same guest, prints how to log in, and waits for Ctrl-C.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { debianTar } from "../support/debian-root.ts";
import { cacheDirectory } from "./cache.ts";
import { openLog } from "./command.ts";
import { ensureImage, type Image } from "./image.ts";
import { type InstalledPart, installedDirectory, installedParts } from "./installed-parts.ts";
import { jestArguments } from "./jest-arguments.ts";
import { mountProject, poolName, prepareGuest, projectDirectory } from "./prepare-guest.ts";
import { createProgress, type Progress } from "./progress.ts";
import { makeProjectDisk, rootTarName } from "./project-disk.ts";
import type { Accelerator } from "./qemu.ts";
import { boot, type Guest } from "./vm.ts";

const progress = createProgress((line) => process.stderr.write(line), Date.now);

/** The checkout: this file runs from dist/js/test/system. */
const project = fileURLToPath(new URL("../../../../", import.meta.url));

interface Parts {
  readonly image: Image;
  readonly rootTar: string;
}

async function makeParts(): Promise<Parts> {
  const image = await ensureImage(cacheDirectory(process.env), progress);
  progress("looking for the Debian root of the templates");
  return { image, rootTar: await debianTar() };
}

async function bootWithProject({ image, rootTar }: Parts, name: string, say: Progress): Promise<Guest> {
  const log = await openLog(join(cacheDirectory(process.env), `boot${name}.log`));
  try {
    say("putting the project on a disk");
    return await boot({
      image,
      accelerator: accelerator(process.env.ISOLATE_TEST_ACCEL),
      say,
      makeProjectDisk: (file) => makeProjectDisk(log, project, rootTar, join(dirname(file), "project"), file),
    });
  } finally {
    await log.file.close();
  }
}

/** Software emulation by default: a guest may hang even if /dev/kvm exists. */
function accelerator(wanted: string | undefined): Accelerator {
  if (wanted === undefined || wanted === "" || wanted === "tcg") return "tcg";
  if (wanted === "kvm") return "kvm";
  throw new Error(`cannot use ISOLATE_TEST_ACCEL=${wanted}: it is tcg or kvm`);
}

async function runTests(guest: Guest, args: readonly string[]): Promise<number> {
  const jest = [
    "node",
    "--experimental-vm-modules",
    "--disable-warning=ExperimentalWarning",
    "node_modules/jest/bin/jest.js",
  ];
  const command = ["env", "-C", projectDirectory, ...jest, ...jestArguments(args)];
  const env = {
    ISOLATE_TEST_ZPOOL: poolName,
    ISOLATE_TEST_SLOWNESS: "24",
    // /tmp is a small tmpfs without devices.
    TMPDIR: "/var/tmp",
    ISOLATE_TEST_ROOT_TAR: join(projectDirectory, rootTarName),
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LANG: "C.UTF-8",
    ...(process.env.CI === undefined ? {} : { CI: process.env.CI }),
  };
  return guest.run(command, { env });
}

/** Runs the parts in order, since each begins in the state that the previous one left. Stops at the first failure. */
async function runInstalled(
  guest: Guest,
  parts: readonly InstalledPart[],
  args: readonly string[],
  say: Progress,
): Promise<number> {
  for (const { pattern, reboot } of parts) {
    if (reboot) {
      say("booting the guest again");
      await guest.reboot();
      await mountProject(guest);
    }
    say(`running ${pattern}`);
    const code = await runTests(guest, [pattern, ...args]);
    if (code !== 0) return code;
  }
  return 0;
}

async function offerShell(guest: Guest): Promise<void> {
  process.stdout.write(`
The guest runs until Ctrl-C. For a shell in it:

  ${guest.sshCommand}

The project is in ${projectDirectory}. After another build, from the checkout:

  tar -cf - dist | ${guest.sshCommand} tar --no-same-owner -C ${projectDirectory} -xf -

`);
  await Promise.race([guest.ended, new Promise((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve))]);
}

const oneGuest = "--one-guest";
/** The longest tests, without their extension: lxc boots containers, and an attack goes on for a while. */
const longest = ["dist/js/test/system/lxc", "dist/js/test/integration/hostile"];

/** One machine's tests, in this order. Without a pattern, the tree's tests are the default ones. */
interface Share {
  readonly name: string;
  readonly inTree: readonly string[] | undefined;
  readonly installed: readonly InstalledPart[];
}

/** Emulation keeps one of two processors busy, so two parallel machines finish much sooner. */
function divide(args: readonly string[]): { shares: readonly Share[]; rest: readonly string[] } {
  const isPattern = (word: string): boolean => word.startsWith("dist/");
  const patterns = args.filter(isPattern);
  const rest = args.filter((word) => !isPattern(word) && word !== oneGuest);
  const inTree = patterns.filter((pattern) => !pattern.startsWith(installedDirectory));
  const wanted = (part: InstalledPart): boolean =>
    patterns.some((pattern) => part.pattern.startsWith(pattern) || pattern.startsWith(part.pattern));
  if (patterns.length > 0) {
    const some = { name: "", inTree: inTree.length > 0 ? inTree : undefined, installed: installedParts.filter(wanted) };
    return { shares: [some], rest };
  }
  if (args.includes(oneGuest)) return { shares: [{ name: "", inTree: [], installed: installedParts }], rest };
  const most = { name: "1", inTree: longest.map((test) => `--testPathIgnorePatterns=${test}`), installed: [] };
  const second = { name: "2", inTree: longest.map((test) => `${test}.test.js`), installed: installedParts };
  return { shares: [most, second], rest };
}

async function runShare(parts: Parts, { name, inTree, installed }: Share, rest: readonly string[]): Promise<number> {
  const say: Progress = (step) => progress(name === "" ? step : `guest ${name}: ${step}`);
  const guest = await bootWithProject(parts, name, say);
  try {
    say("making the zpool");
    await prepareGuest(guest);
    if (inTree) {
      say("running the tests");
      const code = await runTests(guest, [...inTree, ...rest]);
      if (code !== 0) return code;
    }
    return await runInstalled(guest, installed, rest, say);
  } finally {
    await guest.powerOff();
    say("the guest is off");
  }
}

async function shell(parts: Parts, ready: () => void): Promise<number> {
  const guest = await bootWithProject(parts, "", progress);
  try {
    await prepareGuest(guest);
    ready();
    await offerShell(guest);
    return 0;
  } finally {
    await guest.powerOff();
  }
}

async function main(args: readonly string[]): Promise<number> {
  const interrupted = () => process.exit(130);
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  const parts = await makeParts();
  if (args[0] === "--shell")
    return shell(parts, () => process.removeListener("SIGINT", interrupted).removeListener("SIGTERM", interrupted));
  const { shares, rest } = divide(args);
  const ends = await Promise.allSettled(shares.map((share) => runShare(parts, share, rest)));
  const failed = ends.find((end) => end.status === "rejected");
  if (failed) throw failed.reason;
  return ends.map((end) => (end.status === "fulfilled" ? end.value : 1)).find((code) => code !== 0) ?? 0;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  return 1;
});
