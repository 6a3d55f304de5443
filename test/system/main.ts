/**
 * `npm run test:system -- [--shell] [jest's arguments]`: the tests that need a real ZFS and a real systemd, in a virtual
 * machine that is made for them and thrown away. Then the package, installed in the same machine, which is booted again
 * on the way.
 *
 * `--shell` boots the same guest, prints how to get in, and waits until Ctrl-C.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { debianTar } from "../support/debian-root.ts";
import { cacheDirectory } from "./cache.ts";
import { openLog } from "./command.ts";
import { ensureImage } from "./image.ts";
import { type InstalledPart, installedDirectory, installedParts } from "./installed-parts.ts";
import { jestArguments } from "./jest-arguments.ts";
import { mountProject, poolName, prepareGuest, projectDirectory } from "./prepare-guest.ts";
import { createProgress } from "./progress.ts";
import { makeProjectDisk, rootTarName } from "./project-disk.ts";
import type { Accelerator } from "./qemu.ts";
import { boot, type Guest } from "./vm.ts";

const say = createProgress((line) => process.stderr.write(line), Date.now);

/** The checkout: this file runs from dist/js/test/system. */
const project = fileURLToPath(new URL("../../../../", import.meta.url));

async function bootWithProject(): Promise<Guest> {
  const cache = cacheDirectory(process.env);
  const image = await ensureImage(cache, say);
  say("looking for the Debian root of the templates");
  const rootTar = await debianTar();
  const log = await openLog(join(cache, "boot.log"));
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

/** Software emulation unless told: a /dev/kvm that is there may still hang a guest. */
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
    ISOLATE_TEST_SLOWNESS: "16",
    // /tmp is a tmpfs that takes no devices, and small.
    TMPDIR: "/var/tmp",
    ISOLATE_TEST_ROOT_TAR: join(projectDirectory, rootTarName),
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LANG: "C.UTF-8",
    ...(process.env.CI === undefined ? {} : { CI: process.env.CI }),
  };
  return guest.run(command, { env });
}

/** In their order, since each begins where the one before has left the machine. Ends with the first that fails. */
async function runInstalled(guest: Guest, parts: readonly InstalledPart[], args: readonly string[]): Promise<number> {
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

/** Which tests are wanted; `rest` are jest's other arguments. Without a pattern all are. */
function divide(args: readonly string[]) {
  const isPattern = (word: string): boolean => word.startsWith("dist/");
  const patterns = args.filter(isPattern);
  const rest = args.filter((word) => !isPattern(word));
  if (patterns.length === 0) return { inTree: [], installed: installedParts, rest };
  const inTree = patterns.filter((pattern) => !pattern.startsWith(installedDirectory));
  const wanted = (part: InstalledPart): boolean =>
    patterns.some((pattern) => part.pattern.startsWith(pattern) || pattern.startsWith(part.pattern));
  return { inTree: inTree.length > 0 ? inTree : undefined, installed: installedParts.filter(wanted), rest };
}

async function main(args: readonly string[]): Promise<number> {
  const shell = args[0] === "--shell";
  const interrupted = () => process.exit(130);
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  const guest = await bootWithProject();
  try {
    say("making the zpool");
    await prepareGuest(guest);
    if (!shell) {
      const { inTree, installed, rest } = divide(args);
      if (inTree) {
        say("running the tests");
        const code = await runTests(guest, [...inTree, ...rest]);
        if (code !== 0) return code;
      }
      return await runInstalled(guest, installed, rest);
    }
    process.removeListener("SIGINT", interrupted).removeListener("SIGTERM", interrupted);
    await offerShell(guest);
    return 0;
  } finally {
    await guest.powerOff();
    say("the guest is off");
  }
}

process.exitCode = await main(process.argv.slice(2)).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  return 1;
});
