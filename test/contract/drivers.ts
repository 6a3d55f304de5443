/** The drivers that the contract suite tests, each with its own fresh storage. */
import { mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { StorageDriver } from "../../daemon/storage/driver.ts";
import { createOverlayDriver } from "../../daemon/storage/overlay/driver.ts";
import { createZfsDriver } from "../../daemon/storage/zfs/driver.ts";
import { type CloneId, parseTemplateName, type TemplateName } from "../../protocol/names.ts";
import { must, run } from "../support/process.ts";

export interface Storage {
  readonly driver: StorageDriver;
  /** A daemon with another identity on the same storage. */
  readonly stranger: StorageDriver;
  templateName(base: string): TemplateName;
  /**
   * Makes something without a driver's mark where the clone would be. Returns a function that tells whether it is
   * intact.
   */
  plant(id: CloneId, mark?: string): Promise<() => Promise<boolean>>;
  /** Host paths below which the raw clones are, if any path leads to them. */
  readonly rawPaths: readonly string[];
  /** Returns everything on the storage that is neither a template, nor a snapshot, nor a clone. */
  leftovers(): Promise<readonly string[]>;
  close(): Promise<void>;
}

export interface DriverKind {
  readonly name: string;
  /** Set if another kind, with the same code for templates, tests them. */
  readonly sharesTemplates?: boolean;
  /** `directory` is empty; the test owns it and deletes it. `megabytes` limits the storage. */
  open(directory: string, megabytes?: number): Promise<Storage>;
}

const log = { warn: (details: object, message: string): void => console.warn(message, details) };

const overlay = (name: string, attachLayers: boolean): DriverKind => ({
  name,
  async open(directory, megabytes) {
    if (megabytes !== undefined) await mountSmall(directory, megabytes);
    const store = join(directory, "store");
    const driver = createOverlayDriver({ directory: store, storeId: "ours", log, attachLayers });
    const stranger = createOverlayDriver({ directory: store, storeId: "theirs", log });
    await driver.check();
    await stranger.check();
    return {
      driver,
      stranger,
      templateName: parseTemplateName,
      async plant(id, mark) {
        const home = join(store, "clones", id);
        mkdirSync(join(home, "upper"), { recursive: true });
        if (mark !== undefined) symlinkSync(mark, join(home, "mark"));
        return async () => (await run(["test", "-d", join(home, "upper")])).code === 0;
      },
      rawPaths: [store],
      leftovers: async () => readdirSync(join(store, "trash")),
      async close() {
        await unmountBelow(directory);
      },
    };
  },
});

async function mountSmall(directory: string, megabytes: number): Promise<void> {
  const image = `${directory}.img`;
  await must(["truncate", "-s", `${megabytes}M`, image]);
  await must(["mkfs.ext4", "-q", "-m", "0", image]);
  await must(["mount", "-o", "loop", image, directory]);
  await must(["rm", image]); // the loop device keeps it
}

/**
 * Unmounts everything there, last first. Looks anew each time: below shared mounts, unmounting one also removes others.
 */
export async function unmountBelow(directory: string): Promise<void> {
  for (;;) {
    const mounts = (await must(["cat", "/proc/self/mounts"])).split("\n").map((line) => line.split(" ")[1] ?? "");
    const last = mounts.findLast((path) => path === directory || path.startsWith(`${directory}/`));
    if (last === undefined) return;
    await must(["umount", "-l", last]);
  }
}

/** Uses its own dataset in the pool that the environment names: only a virtual machine has a pool to spare. */
const zfs = (pool: string, name: string, commandsOnly: boolean): DriverKind => ({
  name,
  sharesTemplates: commandsOnly,
  async open(directory, megabytes) {
    const parent = `${pool}/contract-${process.pid}-${process.hrtime.bigint()}`;
    await must(["zfs", "create", "-o", "mountpoint=none", ...(megabytes ? ["-o", `quota=${megabytes}M`] : []), parent]);
    const mountDirectory = join(directory, "mnt");
    const driver = createZfsDriver({ store: "ours", mountDirectory, commandsOnly });
    await driver.check();
    return {
      driver,
      stranger: createZfsDriver({ store: "theirs", mountDirectory, commandsOnly }),
      templateName: (base) => parseTemplateName(`${parent}/${base}`),
      async plant(id, mark) {
        const dataset = `${parent}/${id}`;
        await must([
          "zfs",
          "create",
          "-o",
          "mountpoint=none",
          ...(mark ? ["-o", `isolate:mark=${mark}`] : []),
          dataset,
        ]);
        return async () => (await run(["zfs", "list", dataset])).code === 0;
      },
      rawPaths: [mountDirectory],
      async leftovers() {
        const known = new Set<string>([parent]);
        for (const { template } of await driver.templates()) known.add(template);
        for (const { id } of await driver.list()) known.add(`${parent}/${id}`);
        const datasets = (await must(["zfs", "list", "-rHo", "name", parent])).trim().split("\n");
        return datasets.filter((dataset) => !known.has(dataset));
      },
      async close() {
        await unmountBelow(directory);
        await must(["zfs", "destroy", "-R", "-f", parent]);
      },
    };
  },
});

const pool = process.env.ISOLATE_TEST_ZPOOL;

export const kinds: readonly DriverKind[] = [
  overlay("overlay", false),
  overlay("overlay, as on Linux before 6.15", true),
  ...(pool ? [zfs(pool, "zfs", false), zfs(pool, "zfs, without libzfs_core", true)] : []),
];
