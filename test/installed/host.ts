/** The machine with the package, as its administrator and users have it: no custom path or socket. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Lease, Pool } from "../../protocol/schema.ts";
import { eventually, must, type Outcome, run } from "../support/process.ts";
import { projectRoot } from "../support/project.ts";

const zpool = process.env.ISOLATE_TEST_ZPOOL ?? "";
export const parent = `${zpool}/isolate`;
export const template = `${parent}/debisl`;
/** The name as systemd-escape(1) escapes it. */
export const instance = template.replaceAll("/", "-");
export const user = "carol";
export const size = 3;
export const configFile = "/etc/isolate/isolated.toml";
export const database = "/var/lib/isolate/isolated.db";

/** The package that `npm run package` built from this source, for this machine. */
export function packageFile(): string {
  const { version } = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as { version: string };
  const architecture = execFileSync("dpkg", ["--print-architecture"], { encoding: "utf8" }).trim();
  const file = join(projectRoot, "dist", `isolate_${version}_${architecture}.deb`);
  if (!existsSync(file)) throw new Error(`there is no ${file}: npm run package`);
  return file;
}

/** Runs a command line of the user in a new login. */
export const asUser = (line: string, input?: string): Promise<Outcome> =>
  run(["su", "-", user, "-c", line], { patience: 60_000, ...(input === undefined ? {} : { input }) });

export const systemctl = (...words: string[]): Promise<string> => must(["systemctl", ...words], { patience: 60_000 });

/** One property of a unit, such as `MainPID`. */
export async function property(unit: string, name: string): Promise<string> {
  return (await systemctl("show", "--value", "-p", name, unit)).trim();
}

export const isActive = async (unit: string): Promise<boolean> => (await property(unit, "ActiveState")) === "active";

export async function pool(): Promise<Pool> {
  const pools = JSON.parse(await must(["isolate", "pool", "--json"])) as Pool[];
  const found = pools.find((one) => one.template === template);
  if (!found) throw new Error(`no pool of ${template}`);
  return found;
}

export const leases = async (): Promise<Lease[]> => JSON.parse(await must(["isolate", "ps", "--json"])) as Lease[];

/** Waits until no clone is in use and the pool is full. The request starts the daemon. */
export const whole = (): Promise<Pool> =>
  eventually("the pool is whole and nothing is in use", async () => {
    const now = await pool();
    return now.ready === size && now.leased + now.retired + now.creating === 0 ? now : null;
  });

/** Lists the clones without a request, which would start the daemon. */
export async function clones(): Promise<string[]> {
  const listed = await must(["zfs", "list", "-H", "-o", "name", "-d", "1", parent]);
  return listed.split("\n").filter((name) => name.startsWith(`${template}_`));
}

/** A root filesystem of a few of this machine's programs, small enough for an emulated processor to copy in seconds. */
export async function fillRoot(directory: string): Promise<void> {
  const programs = ["sh", "id", "touch", "cat", "ls", "sleep", "hostname", "test", "chown", "stat"];
  for (const name of programs) {
    const path = (await must(["sh", "-c", `command -v -- "$0"`, name])).trim();
    const file = path.startsWith("/") ? path : `/usr/bin/${name}`;
    const libraries = (await must(["ldd", file])).matchAll(/(\/\S+) \(0x/g);
    for (const source of [file, ...[...libraries].map(([, library = ""]) => library)]) {
      const target = join(directory, source.replace(/^\/usr\/bin\//, "/bin/"));
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(source, target);
    }
  }
  for (const name of ["etc", "tmp", "proc", "dev", "home", "usr", "root"])
    mkdirSync(join(directory, name), { recursive: true });
  writeFileSync(join(directory, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  writeFileSync(join(directory, "etc/group"), "root:x:0:\n");
}

/** Mounts the administrator's dataset for a moment. */
export async function withDataset(dataset: string, change: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "isolate-root-"));
  await must(["mount", "-t", "zfs", dataset, directory]);
  try {
    await change(directory);
  } finally {
    await must(["umount", directory]);
    rmSync(directory, { recursive: true });
  }
}
