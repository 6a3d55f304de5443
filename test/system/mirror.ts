import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type CommandLog, command, output } from "./command.ts";
import { archiveKeyring } from "./packages.ts";

/** A private view of this machine's apt: its sources and perhaps one more, with its own package lists. */
export interface Apt {
  /** Options for apt-get that select this view. The machine's own configuration and lists stay as they are. */
  readonly options: readonly string[];
  /** The Debian mirror that this machine is configured with. */
  readonly mirror: string;
}

/**
 * Reads this machine's apt sources into `directory` and updates the lists there.
 *
 * apt names the mirror, and it is written nowhere: the machine's configuration decides.
 */
export async function openApt(log: CommandLog, directory: string): Promise<Apt> {
  const parts = join(directory, "sources.list.d");
  const lists = join(directory, "lists");
  await mkdir(parts, { recursive: true });
  await mkdir(join(lists, "partial"), { recursive: true });
  const machine = "/etc/apt/sources.list.d";
  for (const name of await readdir(machine).catch(() => [])) await copyFile(join(machine, name), join(parts, name));
  const options = ["-o", `Dir::Etc::sourceparts=${parts}`, "-o", `Dir::State::lists=${lists}`];
  await command(log, "apt-get", ["update", "-q", ...options]);
  return { options, mirror: await mirrorOf(options) };
}

/** The same view with one more suite of the same mirror, such as the backports. */
export async function addSuite(log: CommandLog, apt: Apt, directory: string, suite: string): Promise<void> {
  const source = `Types: deb\nURIs: ${apt.mirror}\nSuites: ${suite}\nComponents: main\nSigned-By: ${archiveKeyring.file}\n`;
  await writeFile(join(directory, "sources.list.d", "isolate-test.sources"), source);
  await command(log, "apt-get", ["update", "-q", ...apt.options]);
}

async function mirrorOf(options: readonly string[]): Promise<string> {
  const targets = await output("apt-get", [
    "indextargets",
    ...options,
    "--format",
    "$(ORIGIN) $(LABEL) $(COMPONENT) $(SITE)",
  ]);
  const site = /^Debian Debian main (\S+)$/m.exec(targets)?.[1];
  if (site !== undefined) return site;
  throw new Error("cannot find a Debian mirror in this machine's apt sources: add one, the guest is made from it");
}
