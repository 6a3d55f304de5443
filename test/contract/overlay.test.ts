/** Tests of the overlay store alone: a crash at any instruction, and trees that change while they are deleted. */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { StorageDriver } from "../../daemon/storage/driver.ts";
import { createOverlayDriver } from "../../daemon/storage/overlay/driver.ts";
import { createTrash } from "../../daemon/storage/trash.ts";
import { makeCloneId, type TemplateName } from "../../protocol/names.ts";
import { eventually, finished, must, start } from "../support/process.ts";
import { archive, streamOf } from "./archive.ts";
import { createLessee, type Lessee, makeDirectory, removeDirectory } from "./lessee.ts";

const template = "base" as TemplateName;
const log = { warn: (details: object, message: string): void => console.warn(message, details) };
let directory: string;
let store: string;
let driver: StorageDriver;
let lessee: Lessee;

const open = async (now?: () => number): Promise<StorageDriver> => {
  const opened = createOverlayDriver({ directory: store, storeId: "ours", log, ...(now && { now }) });
  await opened.check();
  return opened;
};

beforeEach(async () => {
  directory = makeDirectory();
  store = join(directory, "store");
  lessee = await createLessee();
  driver = await open();
  await driver.createTemplate(template, streamOf(await archive("echo first > file")));
});
afterEach(async () => {
  await lessee.close();
  await removeDirectory(directory);
});

async function write(text: string): Promise<void> {
  const at = lessee.place();
  await driver.edit(template, lessee.map, at);
  await lessee.inside(at, `echo ${text} > file`);
  await driver.unedit(template, at);
}

async function read({ prepared = false } = {}): Promise<string> {
  const at = lessee.place();
  const id = makeCloneId(template, process.hrtime.bigint() + 10n ** 18n);
  await driver.clone(await driver.latest(template), id);
  if (prepared) driver.prepare(id, lessee.map);
  await driver.view(id, lessee.map, at);
  try {
    return await lessee.inside(at, "cat file");
  } finally {
    await driver.unview(id, at);
    await driver.destroy(id);
  }
}

test("only what a crash left in the trash is deleted at the start", async () => {
  mkdirSync(join(store, "trash", "base_1795000000000000000.1.2", "upper"), { recursive: true });
  symlinkSync("/etc", join(store, "trash", "link.1.3"));
  driver = await open();
  expect(readdirSync(join(store, "trash"))).toEqual([]);
  expect(await read()).toBe("first\n");
});

test("a crash during a snapshot leaves it complete, and the template can be edited again", async () => {
  await write("second");
  // The state after the first rename in freeze().
  const paths = join(store, "templates", template);
  renameSync(join(paths, "working", "upper"), join(paths, "layers", "29991231T235959.999Z"));
  driver = await open();
  expect(await read()).toBe("second\n");
  await write("third");
  expect(await read()).toBe("second\n");
  const third = await driver.snapshot(template);
  expect(third > "base@29991231T235959.999Z").toBe(true);
  expect(await read()).toBe("third\n");
  // Also without any working directory.
  await must(["rm", "-r", join(paths, "working")]);
  expect(await driver.snapshot(template)).not.toBe(third);
  expect(await driver.latest(template)).toBe(third);
});

test("a destroyed clone is deleted soon, or after a crash at the next start", async () => {
  const snapshot = await driver.latest(template);
  const id = makeCloneId(template, 10n ** 18n);
  await driver.clone(snapshot, id);
  await driver.destroy(id);
  expect(await driver.list()).toEqual([]);
  await eventually("the trash is empty", () => readdirSync(join(store, "trash")).length === 0, 5_000);
  await driver.clone(snapshot, id);
  renameSync(join(store, "clones", id), join(store, "trash", `${id}.1.2`));
  expect(await driver.list()).toEqual([]);
  await driver.destroy(id);
  driver = await open();
  expect(readdirSync(join(store, "trash"))).toEqual([]);
});

test("if a template is made again under its name, its prepared clones show the new content", async () => {
  expect(await read({ prepared: true })).toBe("first\n");
  await driver.removeTemplate(template);
  await driver.createTemplate(template, streamOf(await archive("echo second > file")));
  expect(await read({ prepared: true })).toBe("second\n");
});

test("snapshots keep their order when the clock is set back", async () => {
  const first = await driver.latest(template);
  driver = await open(() => 0);
  await write("second");
  expect((await driver.snapshot(template)) > first).toBe(true);
  expect(await read()).toBe("second\n");
});

test("while an edit is open, the first or a later one, there is no snapshot and no second edit", async () => {
  const at = lessee.place();
  const refused = { code: "template-edited" };
  for (const content of ["once", "again"]) {
    await driver.edit(template, lessee.map, at);
    try {
      await lessee.inside(at, `echo ${content} > file`);
      await expect(driver.snapshot(template)).rejects.toMatchObject(refused);
      await expect(driver.edit(template, lessee.map, lessee.place())).rejects.toMatchObject(refused);
      await expect(driver.removeTemplate(template)).rejects.toMatchObject(refused);
    } finally {
      await driver.unedit(template, at);
    }
  }
  await driver.snapshot(template);
  expect(await read()).toBe("again\n");
});

test("destroying a directory without our mark is an error, since it is not gone", async () => {
  const id = makeCloneId(template, 10n ** 18n);
  mkdirSync(join(store, "clones", id));
  await expect(driver.destroy(id)).rejects.toMatchObject({ code: "storage-failed" });
  await expect(driver.clone(await driver.latest(template), id)).rejects.toMatchObject({ code: "storage-failed" });
});

test("a clone is not mounted twice at the same time", async () => {
  const id = makeCloneId(template, 10n ** 18n);
  await driver.clone(await driver.latest(template), id);
  const at = lessee.place();
  await driver.view(id, lessee.map, at);
  await expect(driver.view(id, lessee.map, lessee.place())).rejects.toMatchObject({ code: "clone-busy" });
  await lessee.inside(at, "echo mine > file");
  await driver.unview(id, at);
  await driver.view(id, lessee.map, at);
  expect(await lessee.inside(at, "cat file")).toBe("mine\n");
  await driver.unview(id, at);
});

test("a clone is never synced to disk, even if it is mounted again; a template is", async () => {
  const optionsAt = (at: string): string =>
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .find((line) => line.split(" ")[4] === at) ?? "";
  const id = makeCloneId(template, 10n ** 18n);
  await driver.clone(await driver.latest(template), id);
  for (const at of [lessee.place(), lessee.place()]) {
    await driver.view(id, lessee.map, at);
    expect(optionsAt(at)).toMatch(/\bvolatile\b/);
    await lessee.inside(at, "echo mine >> kept; sync");
    await driver.unview(id, at);
    // The state after a crash in the removal of the mark.
    const left = join(store, "clones", id, "work/work/incompat/volatile/dirty");
    await eventually("overlayfs leaves its mark", () => existsSync(left));
    unlinkSync(left);
  }
  await driver.destroy(id);
  const edited = lessee.place();
  await driver.edit(template, lessee.map, edited);
  expect(optionsAt(edited)).toMatch(/overlay/);
  expect(optionsAt(edited)).not.toMatch(/volatile/);
  await driver.unedit(template, edited);
});

test("a template has at most 80 layers, and works with all 80", async () => {
  for (let count = 1; count < 80; count++) {
    writeFileSync(join(store, "templates", template, "working", "upper", `f${count}`), "");
    await driver.snapshot(template);
  }
  await write("last");
  await expect(driver.snapshot(template)).rejects.toMatchObject({ code: "storage-failed" });
  expect(await read()).toBe("first\n");
});

test("a store in another user's directory is refused", async () => {
  await must(["chown", "61202", store]);
  await expect(open()).rejects.toMatchObject({ code: "unsupported-host" });
});

test("a file system without ID-mapped mounts is reported with the fix", async () => {
  mkdirSync(join(directory, "ramfs"));
  await must(["mount", "-t", "ramfs", "ramfs", join(directory, "ramfs")]);
  store = join(directory, "ramfs", "store");
  await expect(open()).rejects.toMatchObject({
    code: "unsupported-host",
    hint: expect.stringContaining("ext4, xfs, btrfs"),
  });
  expect(readdirSync(join(store, "trash"))).toEqual([]);
});

test("nothing outside is deleted while a program swaps directories and links", async () => {
  const outside = join(directory, "outside");
  mkdirSync(join(directory, "trash"));
  const trash = createTrash(join(directory, "trash"), log);
  await must(["sh", "-ec", 'mkdir "$0"; for i in $(seq 200); do : > "$0/$i"; done', outside]);
  const swap = `($tree, $outside) = @ARGV; chdir $tree; $| = 1; print 1; $end = time + 2;
    while (time < $end) { symlink $outside, "b"; rename "a", "c"; rename "b", "a"; rename "a", "b"; rename "c", "a" }`;
  for (let round = 0; round < 3; round++) {
    const tree = trash.fresh("tree");
    await must(["sh", "-ec", 'cd "$0"; mkdir a; for i in $(seq 2000); do : > a/$i; done', tree]);
    const swapper = start(["perl", "-e", swap, tree, outside]);
    const ended = finished(swapper);
    await new Promise((resolve) => swapper.stdout?.once("data", resolve));
    while (swapper.exitCode === null) await trash.remove(tree).catch(() => undefined);
    await ended;
    await trash.remove(tree);
    expect(existsSync(tree)).toBe(false);
    expect(readdirSync(outside)).toHaveLength(200);
  }
});

test("a mark is not followed", async () => {
  const id = makeCloneId(template, 10n ** 18n);
  await driver.clone(await driver.latest(template), id);
  expect(readlinkSync(join(store, "clones", id, "mark"))).toMatch(/^ours base@/);
});
