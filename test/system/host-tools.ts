import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { type CommandLog, command, output } from "./command.ts";
import { type Apt, addSuite, openApt } from "./mirror.ts";
import { archiveKeyring, emulator, hostTools } from "./packages.ts";
import type { Progress } from "./progress.ts";

/** Debian keeps mkfs.ext4 where an ordinary user's PATH does not look. */
export function searchPath(env: NodeJS.ProcessEnv): string {
  return [env.PATH ?? "", "/usr/local/sbin", "/usr/sbin", "/sbin"].join(delimiter);
}

/**
 * Ensures that this machine has the programs that build and run the guest, and installs missing ones.
 *
 * `directory` holds apt's temporary lists; the machine's own apt configuration is not changed.
 * Throws one sentence that names the missing packages if they cannot be installed.
 */
export async function ensureHostTools(log: CommandLog, say: Progress, directory: string): Promise<void> {
  if (process.arch !== "x64") {
    throw new Error(
      `cannot run the system tests on ${process.arch}: the guest is an x86-64 one; use an x86-64 machine`,
    );
  }
  const missing = await missingPackages();
  const major = await emulatorMajor();
  const old = major < emulator.oldestMajor;
  if (missing.length === 0 && !old) return;

  const wanted = [...missing, ...(old ? [`${emulator.package} (QEMU ${emulator.oldestMajor} or newer)`] : [])].join(
    ", ",
  );
  if (process.getuid?.() !== 0 || !(await isOnPath("apt-get"))) {
    throw new Error(`cannot run the system tests without ${wanted}: install them, or run this once as root on Debian`);
  }
  say(`installing on this machine: ${wanted}`);
  const apt = await openApt(log, directory);
  if (missing.length > 0) await install(log, apt, missing);
  if (old) await installEmulator(log, apt, directory);
}

async function missingPackages(): Promise<string[]> {
  const packages = new Set<string>();
  for (const tool of hostTools) if (!(await isOnPath(tool.program))) packages.add(tool.package);
  if (!(await isReadable(archiveKeyring.file))) packages.add(archiveKeyring.package);
  return [...packages];
}

/** QEMU's major version on this machine; 0 if there is none. */
async function emulatorMajor(): Promise<number> {
  if (!(await isOnPath(emulator.program))) return 0;
  return Number(/version (\d+)\./.exec(await output(emulator.program, ["--version"]))?.[1] ?? 0);
}

/** Installs from the machine's own release if that is new enough, otherwise from its backports. */
async function installEmulator(log: CommandLog, apt: Apt, directory: string): Promise<void> {
  const release = await readFile("/etc/os-release", "utf8");
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1];
  const policy = await output("apt-cache", ["policy", ...apt.options, emulator.package]);
  const candidate = Number(/Candidate: (?:\d+:)?(\d+)\./.exec(policy)?.[1] ?? 0);
  if (candidate >= emulator.oldestMajor) {
    await install(log, apt, [emulator.package]);
  } else if (/^ID=debian$/m.test(release) && codename !== undefined) {
    await addSuite(log, apt, directory, `${codename}-backports`);
    await install(log, apt, ["-t", `${codename}-backports`, emulator.package]);
  }
  const major = await emulatorMajor();
  if (major >= emulator.oldestMajor) return;
  throw new Error(
    `cannot run the guest with QEMU ${major || "missing"}: this machine's apt offers none from ${emulator.oldestMajor} on; install a newer ${emulator.program}`,
  );
}

async function install(log: CommandLog, apt: Apt, packages: readonly string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await command(log, "apt-get", ["install", "-y", "-q", "--no-install-recommends", ...apt.options, ...packages], env);
}

async function isOnPath(program: string): Promise<boolean> {
  for (const directory of searchPath(process.env).split(delimiter)) {
    if (await isReadable(join(directory, program), constants.X_OK)) return true;
  }
  return false;
}

async function isReadable(path: string, mode = constants.R_OK): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
