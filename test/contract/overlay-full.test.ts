/** The overlay store on its own file system that is full, or whose disk has refused a write. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { StorageDriver } from "../../daemon/storage/driver.ts";
import { createOverlayDriver } from "../../daemon/storage/overlay/driver.ts";
import { type CloneId, makeCloneId, type TemplateName } from "../../protocol/names.ts";
import { mountImage } from "../support/image.ts";
import { eventually, must, run } from "../support/process.ts";
import { archive, streamOf } from "./archive.ts";
import { createLessee, type Lessee, makeDirectory, removeDirectory } from "./lessee.ts";

const template = "base" as TemplateName;
const log = { warn: (details: object, message: string): void => console.warn(message, details) };
let directory: string;
let disk: string;
let lessee: Lessee;
let driver: StorageDriver;

beforeEach(async () => {
  directory = makeDirectory();
  disk = join(directory, "disk");
  mkdirSync(disk);
  lessee = await createLessee();
});
afterEach(async () => {
  await lessee.close();
  await removeDirectory(directory);
});

async function openOn(image: string): Promise<void> {
  await mountImage(image, disk, 40);
  driver = createOverlayDriver({ directory: join(disk, "store"), storeId: "ours", log });
  await driver.check();
  await driver.createTemplate(template, streamOf(await archive("echo first > file")));
}

let made = 10n ** 18n;
async function newClone(): Promise<CloneId> {
  const id = makeCloneId(template, made++);
  await driver.clone(await driver.latest(template), id);
  return id;
}

const filler = () => join(disk, "filler");
/** Fills the disk to the last block: sync(1) frees the blocks that were reserved for data not yet written. */
const fill = () =>
  must(["sh", "-c", 'until ! mkdir "$0.$((n += 1))"; do cat /dev/zero > "$0.$n/all"; sync -f "$0.$n"; done', filler()]);
const free = () => must(["sh", "-c", 'rm -r "$0".*', filler()]);
const isMounted = (at: string): boolean =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[4] === at);

test("without space, a clone is refused, not mounted read-only, and is mounted once there is space", async () => {
  await openOn(join(directory, "image"));
  const [ready, early] = [await newClone(), await newClone()];
  await fill();
  const at = lessee.place();
  await expect(driver.view(ready, lessee.map, at)).rejects.toMatchObject({ code: "storage-full" });
  expect(isMounted(at)).toBe(false);
  expect(() => driver.prepare(early, lessee.map)).toThrow(/ENOSPC/);
  await free();
  for (const id of [ready, early]) {
    const place = lessee.place();
    await driver.view(id, lessee.map, place);
    expect(await lessee.inside(place, "echo mine > file; cat file")).toBe("mine\n");
    await driver.unview(id, place);
    await driver.destroy(id);
  }
});

test("a clone that fills the storage is destroyed, without space for a mark", async () => {
  await openOn(join(directory, "image"));
  const id = await newClone();
  const at = lessee.place();
  await driver.view(id, lessee.map, at);
  await lessee.inside(at, "cat /dev/zero > fill 2>/dev/null || true; cat /dev/zero > more 2>/dev/null || true");
  await driver.unview(id, at);
  await fill();
  await eventually("nothing uses it", () =>
    driver.destroy(id).then(
      () => true,
      () => false,
    ),
  );
  expect(await driver.list()).toEqual([]);
});

test("another program's write that the disk refused does not prevent a clone's mount", async () => {
  // A thin disk: the storage behind it has no space for the blocks of one file.
  const thin = join(directory, "thin");
  mkdirSync(thin);
  await must(["mount", "-t", "tmpfs", "-o", "size=44m", "tmpfs", thin]);
  await openOn(join(thin, "image"));
  const ready = await newClone();
  const lost = join(disk, "lost");
  await must(["sh", "-c", 'head -c 4M /dev/urandom > "$0"; sync "$0"', lost]);
  const extent = /^ *0: +0\.\. +\d+: +(\d+)\.\. +\d+: +(\d+):/m.exec(await must(["filefrag", "-e", "-b4096", lost]));
  const [start, length] = [Number(extent?.[1]) * 4096, Number(extent?.[2]) * 4096];
  await must(["fallocate", "-l", "40M", join(thin, "image")]);
  await must(["fallocate", "-p", "-o", `${start}`, "-l", `${length}`, join(thin, "image")]);
  await run(["sh", "-c", 'cat /dev/zero > "$0"', join(thin, "filler")]);
  await must(["sh", "-c", 'head -c 1M /dev/zero | dd of="$0" conv=notrunc status=none; sync', lost]);
  const at = lessee.place();
  await driver.view(ready, lessee.map, at);
  expect(await lessee.inside(at, "echo mine > file; cat file")).toBe("mine\n");
  await driver.unview(ready, at);
  await driver.destroy(ready);
});
