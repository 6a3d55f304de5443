/** The rules for every storage driver, on real storage with real users; needs root. */

import { lstatSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import {
  type CloneId,
  makeCloneId,
  type SnapshotName,
  splitSnapshotName,
  type TemplateName,
} from "../../protocol/names.ts";
import { eventually, finished, must, start } from "../support/process.ts";
import { archive, streamOf } from "./archive.ts";
import { kinds, type Storage } from "./drivers.ts";
import { createLessee, type Lessee, makeDirectory, other, owner, rangeStart, removeDirectory } from "./lessee.ts";

const rootTree = `
  mkdir -p etc var/spool/x home; echo first > etc/release; echo kept > etc/kept; : > etc/daemons; chown 33:33 etc/daemons; : > etc/nobody; chown 65535:65535 etc/nobody
  cp /usr/bin/id suid-id; chown 33:33 suid-id; chmod 4755 suid-id
  mknod -m 666 null c 1 3; ln -s ../../../../../../etc out; setfattr -n user.note -v yes etc/release || true`;

let lessee: Lessee;
let tar: Buffer;
beforeAll(async () => {
  lessee = await createLessee();
  tar = await archive(rootTree);
});
afterAll(async () => lessee?.close());

describe.each(kinds)("$name", ({ open, sharesTemplates }) => {
  jest.setTimeout(300_000);
  let directory: string;
  let storage: Storage;
  let template: TemplateName;
  let snapshot: SnapshotName;
  let made = 0;
  const ids: CloneId[] = [];
  const views: { id: CloneId; at: string }[] = [];

  beforeAll(async () => {
    directory = makeDirectory();
    storage = await open(directory);
    template = storage.templateName("base");
    snapshot = await storage.driver.createTemplate(template, streamOf(tar));
  });
  afterEach(async () => {
    for (const { id, at } of views.splice(0)) await storage.driver.unview(id, at);
    for (const id of ids.splice(0)) await eventually(`${id} is destroyed`, () => gone(id));
  });
  afterAll(async () => {
    await storage?.close();
    await removeDirectory(directory);
  });

  const gone = (id: CloneId) =>
    storage.driver.destroy(id).then(
      () => true,
      (error: { code?: string }) => error.code !== "clone-busy",
    );
  const code = (promise: Promise<unknown>) =>
    promise.then(
      () => "nothing thrown",
      (error: { code?: string }) => error.code ?? error,
    );
  const newId = (): CloneId => {
    const id = makeCloneId(template, BigInt(Date.now()) * 1_000_000n + BigInt(made++));
    ids.push(id);
    return id;
  };
  async function clone(from = snapshot): Promise<CloneId> {
    const id = newId();
    await storage.driver.clone(from, id);
    return id;
  }
  async function show(id: CloneId): Promise<string> {
    const at = lessee.place();
    await storage.driver.view(id, lessee.map, at);
    views.push({ id, at });
    return at;
  }
  async function edit(name: TemplateName, script: string): Promise<void> {
    const at = lessee.place();
    await storage.driver.edit(name, lessee.map, at);
    try {
      await lessee.inside(at, script);
    } finally {
      await storage.driver.unedit(name, at);
    }
  }
  const another = async (base: string): Promise<TemplateName> => {
    const name = storage.templateName(base);
    await storage.driver.createTemplate(name, streamOf(tar));
    return name;
  };

  const aboutTemplates = () => {
    test("one made from a tar archive is listed with its first snapshot", async () => {
      const found = await storage.driver.templates([template, storage.templateName("absent")]);
      expect(found).toMatchObject([{ template, snapshot }]);
      expect(Math.abs((found[0]?.created ?? 0) - Date.now())).toBeLessThan(300_000);
      expect(await storage.driver.templates()).toMatchObject([{ template }]);
      expect(splitSnapshotName(snapshot).template).toBe(template);
    });

    test("unknown ones, and snapshots that do not exist, are errors", async () => {
      const absent = storage.templateName("absent");
      expect(await code(storage.driver.latest(absent))).toBe("unknown-template");
      expect(await code(storage.driver.snapshot(absent))).toBe("unknown-template");
      expect(await code(storage.driver.removeTemplate(absent))).toBe("unknown-template");
      expect(await code(storage.driver.edit(absent, lessee.map, lessee.place()))).toBe("unknown-template");
      expect(await code(storage.driver.latest(template, "nothing-like-it-*"))).toBe("no-snapshot");
      expect(await code(clone(`${template}@19700101T000000.000Z` as SnapshotName))).toBe("no-snapshot");
      expect(await code(clone(`${absent}@19700101T000000.000Z` as SnapshotName))).toBe("unknown-template");
      expect(await storage.driver.list()).toEqual([]);
    });

    test("an existing one is not made again, and keeps its content", async () => {
      expect(await code(storage.driver.createTemplate(template, streamOf(await archive("echo x > x"))))).toBe(
        "template-exists",
      );
      expect(await storage.driver.latest(template)).toBe(snapshot);
    });

    test.each<[string, () => Promise<ReturnType<typeof streamOf>>]>([
      ["data that is not an archive", async () => streamOf(Buffer.from("hello ".repeat(10_000)))],
      ["an empty stream", async () => streamOf(Buffer.alloc(0))],
      [
        "one cut in the middle of a file",
        async () => streamOf((await archive("head -c 100000 /dev/urandom > big")).subarray(0, 60_000)),
      ],
      ["one cut between two members", async () => streamOf((await archive(": > a; : > b; : > c")).subarray(0, 1024))],
      ["a connection that breaks off after a whole archive", async () => streamOf(tar, new Error("reset"))],
    ])("%s is refused and leaves nothing", async (_, stream) => {
      const name = storage.templateName("broken");
      expect(await code(storage.driver.createTemplate(name, await stream()))).toBe("bad-tar");
      expect(await code(storage.driver.latest(name))).toBe("unknown-template");
      expect(await storage.driver.templates()).toHaveLength(1);
      await eventually("nothing is left over", async () => (await storage.leftovers()).length === 0, 10_000);
      // The name is free again.
      await storage.driver.createTemplate(name, streamOf(tar));
      await storage.driver.removeTemplate(name);
    });

    test("one with clones is not removed", async () => {
      const name = await another("removed");
      const id = await clone(await storage.driver.latest(name));
      expect(await code(storage.driver.removeTemplate(name))).toBe("template-busy");
      await storage.driver.destroy(id);
      await storage.driver.removeTemplate(name);
      expect(await code(storage.driver.latest(name))).toBe("unknown-template");
    });

    test("another daemon's template is not removed", async () => {
      expect(["unknown-template", "template-foreign"]).toContain(await code(storage.stranger.removeTemplate(template)));
      expect(await storage.driver.latest(template)).toBe(snapshot);
    });
  };
  if (!sharesTemplates) describe("templates", aboutTemplates);

  describe("snapshots", () => {
    test("a new one is latest, is noticed, and does not change old clones and old snapshots", async () => {
      const name = await another("edited");
      const first = await storage.driver.latest(name);
      const before = await clone(first);
      const noticed: TemplateName[] = [];
      const stop = storage.driver.watch(
        () => [name],
        (changed) => noticed.push(changed),
      );
      try {
        await edit(name, "echo second > etc/release; rm etc/kept; mv var lib; echo new > lib/spool/new; chmod 700 .");
        const second = await storage.driver.snapshot(name);
        expect(second > first).toBe(true);
        expect(await storage.driver.latest(name)).toBe(second);
        await eventually("the snapshot is noticed", () => noticed.includes(name), 10_000);
        for (const old of [before, await clone(first)]) {
          expect(await lessee.inside(await show(old), "cat etc/release etc/kept; ls -d var; stat -c %a .")).toBe(
            "first\nkept\nvar\n755\n",
          );
        }
        const now = await show(await clone(second));
        expect(await lessee.inside(now, "cat etc/release lib/spool/new; ls etc; stat -c %a .")).toBe(
          "second\nnew\ndaemons\nnobody\nrelease\n700\n",
        );
        // A third one on top of a renamed directory and a deleted file.
        await edit(name, "mv lib/spool lib/again; echo back > etc/kept");
        const third = await show(await clone(await storage.driver.snapshot(name)));
        expect(await lessee.inside(third, "cat etc/kept lib/again/new; ls lib")).toBe("back\nnew\nagain\n");
        expect(await lessee.inside(now, "ls lib")).toBe("spool\n");
      } finally {
        stop();
      }
    });

    test("one of an unchanged template is not latest, but can be cloned", async () => {
      const unchanged = await storage.driver.snapshot(template);
      expect(unchanged).not.toBe(snapshot);
      expect(await storage.driver.latest(template)).toBe(snapshot);
      expect(await lessee.inside(await show(await clone(unchanged)), "cat etc/release")).toBe("first\n");
    });

    test("latest honours a pattern", async () => {
      const name = await another("patterned");
      const first = splitSnapshotName(await storage.driver.latest(name)).snapshot;
      await edit(name, "echo x > x");
      await storage.driver.snapshot(name);
      expect(await storage.driver.latest(name, first)).toBe(`${name}@${first}`);
      expect(await storage.driver.latest(name, `?${first.slice(1, -1)}*`)).toBe(`${name}@${first}`);
      expect(await code(storage.driver.latest(name, first.replace("2", ".")))).toBe("no-snapshot");
    });
  });

  describe("clones", () => {
    test("have the snapshot's content and are independent of each other", async () => {
      const [one, two] = [await show(await clone()), await show(await clone())];
      await lessee.inside(one, "echo mine > etc/release; rm -r home; mv etc/kept var/kept");
      // mv(1) would copy a directory that cannot be renamed.
      await lessee.inside(one, `perl -e 'rename "var/spool", "spool" or die $!'`);
      expect(await lessee.inside(one, "cat etc/release var/kept; ls -d spool/x; ls")).toBe(
        "mine\nkept\nspool/x\netc\nnull\nout\nspool\nsuid-id\nvar\n",
      );
      expect(await lessee.inside(two, "cat etc/release etc/kept; ls")).toBe(
        "first\nkept\netc\nhome\nnull\nout\nsuid-id\nvar\n",
      );
    });

    test("are listed while they exist", async () => {
      const [one, two] = [await clone(), await clone()];
      const infos = [one, two].map((id) => expect.objectContaining({ id, template, snapshot }));
      expect(await storage.driver.list()).toEqual(expect.arrayContaining(infos));
      await storage.driver.destroy(one);
      expect(await storage.driver.list()).toMatchObject([{ id: two }]);
    });

    test("are counted in bytes, only those written to them, and so are their templates", async () => {
      const [one, two] = [await clone(), await clone()];
      const outside = makeDirectory();
      try {
        writeFileSync(join(outside, "big"), Buffer.alloc(30_000_000, 1));
        const at = await show(one);
        await lessee.inside(at, `head -c 3000000 /dev/urandom > big; ln -s ${outside} etc/link; sync`);
        const counted = await eventually("everything is counted", async () => {
          const { clones, templates } = await storage.driver.usage([template, storage.templateName("absent")]);
          return (clones.get(one) ?? 0) >= 3_000_000 && templates.has(template) ? { clones, templates } : null;
        });
        expect(counted.clones.get(one)).toBeLessThan(6_000_000);
        expect(counted.clones.get(two)).toBeLessThan(500_000);
        expect([...counted.templates.keys()]).toEqual([template]);
        expect(counted.templates.get(template)).toBeGreaterThan(20_000);
      } finally {
        await removeDirectory(outside);
      }
    });

    test("have a known amount of free space", async () => {
      const spaces = await storage.driver.space([template, storage.templateName("absent")]);
      expect(spaces).toHaveLength(1);
      expect(spaces[0]?.free).toBeGreaterThan(1_000_000);
      expect(spaces[0]?.total).toBeGreaterThanOrEqual(spaces[0]?.free ?? 0);
      expect(await storage.driver.space([])).toEqual([]);
    });

    test("are not mounted until they have a view, and then once", async () => {
      const lines = () => readFileSync("/proc/self/mountinfo", "utf8").split("\n");
      // Other tests mount too, elsewhere.
      const mounts = () =>
        lines().filter((line) => [directory, lessee.directory, id].some((text) => line.includes(text))).length;
      const id = newId();
      const before = mounts();
      await storage.driver.clone(snapshot, id);
      expect(mounts()).toBe(before);
      storage.driver.prepare(id, lessee.map);
      expect(mounts()).toBe(before);
      const at = await show(id);
      expect(mounts()).toBe(before + 1);
      await storage.driver.unview(id, at);
      expect(mounts()).toBe(before);
      await storage.driver.unview(id, at); // already absent
    });

    test("a name is not taken twice", async () => {
      const id = await clone();
      const at = await show(id);
      await lessee.inside(at, "echo mine > etc/release");
      expect(await code(storage.driver.clone(snapshot, id))).toBe("storage-failed");
      expect(await lessee.inside(at, "cat etc/release")).toBe("mine\n");
    });

    test("fifty made in parallel are fifty", async () => {
      const all = await Promise.all(Array.from({ length: 50 }, () => clone()));
      expect(new Set((await storage.driver.list()).map(({ id }) => id))).toEqual(new Set(all));
      await Promise.all(all.map((id) => storage.driver.destroy(id)));
      expect(await storage.driver.list()).toEqual([]);
      ids.length = 0; // destroyed; looking for each of them again would take zfs(8) a while
    });
  });

  describe("views", () => {
    test.each([
      ["", (_: CloneId) => undefined],
      [", prepared for them", (id: CloneId) => storage.driver.prepare(id, lessee.map)],
      [", prepared for another", (id: CloneId) => storage.driver.prepare(id, lessee.others)],
    ])("ids are canonical on disk and the lessee's on the host%s", async (_, prepare) => {
      const id = await clone();
      prepare(id);
      const at = await show(id);
      expect(await lessee.inside(at, "stat -c %u:%g . etc/daemons etc/nobody")).toBe("0:0\n33:33\n65535:65535\n");
      const onHost = (path: string) => [lstatSync(join(at, path)).uid, lstatSync(join(at, path)).gid];
      expect(onHost(".")).toEqual([owner.uid, owner.gid]);
      expect(onHost("etc/daemons")).toEqual([rangeStart + 32, rangeStart + 32]);
      expect(onHost("etc/nobody")).toEqual([rangeStart + 65534, rangeStart + 65534]);
      await lessee.inside(
        at,
        ": > zero; : > www; chown 33:65535 www; : > last; chown 65535:33 last; chown 33 etc/kept; mkfifo pipe; ln last hard",
      );
      expect(onHost("zero")).toEqual([owner.uid, owner.gid]);
      expect(onHost("www")).toEqual([rangeStart + 32, rangeStart + 65534]);
      expect(onHost("hard")).toEqual([rangeStart + 65534, rangeStart + 32]);
      expect(onHost("etc/kept")).toEqual([rangeStart + 32, owner.gid]);
    });

    test.each([false, true])(
      "a set-user-id file has no effect, and a device node cannot be opened (prepared: %s)",
      async (ahead) => {
        const id = await clone();
        if (ahead) storage.driver.prepare(id, lessee.map);
        const at = await show(id);
        expect(lstatSync(join(at, "suid-id")).mode & 0o7777).toBe(0o4755);
        expect((await lessee.outside(at, "./suid-id -u")).stdout).toBe(`${owner.uid}\n`);
        expect((await lessee.outside(at, "echo x > null")).stderr).toMatch(/Permission denied/);
      },
    );

    test("no other user reaches it, and no user at all the raw clone", async () => {
      const at = await show(await clone());
      expect((await lessee.outside(at, "ls -d etc")).stdout).toBe("etc\n");
      expect((await lessee.outside(at, "ls -d etc", other)).stderr).toMatch(/can't cd to .*|Permission denied/);
      for (const path of storage.rawPaths) {
        expect((await lessee.outside("/", `ls ${path}`)).code).not.toBe(0);
        expect((await lessee.outside("/", `cd ${path}`, other)).code).not.toBe(0);
      }
      expect((await lessee.outside(at, "rmdir ../*; mkdir ../x; mv ../view-0 ../y")).code).not.toBe(0);
    });

    test("of a clone that does not exist fails", async () => {
      expect(await code(storage.driver.view(newId(), lessee.map, lessee.place()))).toBe("clone-gone");
    });
  });

  describe("destroying", () => {
    test.each([
      ["a mount namespace with a copy of the view", (_: string) => ["unshare", "-m", "sleep", "600"], () => lessee.map],
      [
        "a working directory in the view",
        (at: string) => ["sh", "-c", 'cd "$0"; exec sleep 600', at],
        () => lessee.map,
      ],
      ["an open file", (at: string) => ["sh", "-c", 'exec sleep 600 < "$0/etc/release"', at], () => lessee.others],
    ])("is refused as long as there is %s", async (_, command, prepared) => {
      const id = await clone();
      storage.driver.prepare(id, prepared());
      const at = await show(id);
      const user = start(command(at));
      const ended = finished(user, { patience: 250_000 });
      try {
        await eventually(
          "the program sleeps",
          async () => readFileSync(`/proc/${user.pid}/comm`, "utf8") === "sleep\n",
        );
        expect(await code(storage.driver.destroy(id))).toBe("clone-busy");
        await storage.driver.unview(id, at);
        expect(await code(storage.driver.destroy(id))).toBe("clone-busy");
        expect(await storage.driver.list()).toMatchObject([{ id }]);
      } finally {
        user.kill("SIGKILL");
        await ended;
      }
      await eventually("the clone can be destroyed", () => gone(id), 5_000);
      expect(await storage.driver.list()).toEqual([]);
    });

    test("of a prepared one leaves nothing behind", async () => {
      const id = await clone();
      storage.driver.prepare(id, lessee.others);
      await storage.driver.destroy(id);
      expect(await storage.driver.list()).toEqual([]);
    });

    test("succeeds twice, and for a clone that never existed", async () => {
      const id = await clone();
      await storage.driver.destroy(id);
      await storage.driver.destroy(id);
      await storage.driver.destroy(newId());
    });

    test("does not touch another daemon's clone, nor list it", async () => {
      const id = await clone();
      expect(await storage.stranger.list()).toEqual([]);
      await storage.stranger.destroy(id).catch(() => undefined);
      expect(await storage.driver.list()).toMatchObject([{ id }]);
      expect(await lessee.inside(await show(id), "cat etc/release")).toBe("first\n");
    });

    test.each([undefined, `theirs ${"x".repeat(20)}`, "ours"])(
      "does not touch what has no valid mark, nor list it (%s)",
      async (mark) => {
        const id = makeCloneId(template, BigInt(Date.now()) * 1_000_000n + BigInt(made++));
        const whole = await storage.plant(id, mark);
        await storage.driver.destroy(id).catch(() => undefined);
        expect(await whole()).toBe(true);
        expect(await storage.driver.list()).toEqual([]);
      },
    );

    test("hostile content deletes nothing outside", async () => {
      const outside = makeDirectory();
      try {
        writeFileSync(join(outside, "precious"), "");
        const id = await clone();
        const at = await show(id);
        await lessee.inside(
          at,
          `ln -s ${outside} link; ln -s ../../../../../../..${outside} up; mkdir a:b,c 'new
line' -- -rf '--no-preserve-root' ' '; ln -s ${outside} 'new
line'/${"x".repeat(200)}; : > "$(printf '\\377\\376')"; mkdir locked; : > locked/x; chmod 0 locked
perl -e 'for (1..3000) { mkdir "deep"; chdir "deep" or die } symlink "${outside}", "end"'`,
        );
        await storage.driver.unview(id, at);
        await eventually("the clone is destroyed", () => gone(id));
        expect(await storage.driver.list()).toEqual([]);
        expect(await must(["ls", outside])).toBe("precious\n");
      } finally {
        await removeDirectory(outside);
      }
    });
  });
});

describe.each(kinds.filter(({ sharesTemplates }) => !sharesTemplates))("$name, full", ({ open }) => {
  test("a template that does not fit is refused and leaves nothing", async () => {
    const directory = makeDirectory();
    let small: Storage | undefined;
    try {
      small = await open(directory, 64);
      const { driver, leftovers } = small;
      const [big, fits] = [small.templateName("big"), small.templateName("fits")];
      const bytes = await archive("head -c 90000000 /dev/urandom > big");
      await expect(driver.createTemplate(big, streamOf(bytes))).rejects.toMatchObject({ code: "storage-full" });
      await expect(driver.latest(big)).rejects.toMatchObject({ code: "unknown-template" });
      expect(await driver.templates()).toEqual([]);
      await eventually("nothing is left over", async () => (await leftovers()).length === 0, 10_000);
      // Twice, since leftovers would make the second attempt fail.
      for (let round = 0; round < 2; round++) {
        await driver.createTemplate(fits, streamOf(await archive("head -c 25000000 /dev/urandom > big")));
        await driver.removeTemplate(fits);
        if (driver.name === "zfs") await must(["zpool", "sync"]);
      }
    } finally {
      await small?.close();
      await removeDirectory(directory);
    }
  });
});
