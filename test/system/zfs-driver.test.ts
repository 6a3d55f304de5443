/**
 * The behaviour that only a real ZFS shows: marks, mounts, and the effects and messages of zfs(8). Runs if
 * ISOLATE_TEST_ZPOOL names a pool, as in `npm run test:system`.
 */
import { chmodSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { closeDescriptor } from "../../daemon/linux/call.ts";
import { cloneMount } from "../../daemon/linux/mounts.ts";
import type { IdMap } from "../../daemon/storage/driver.ts";
import { zfs as runZfs, type Zfs } from "../../daemon/storage/zfs/command.ts";
import { createZfsDriver } from "../../daemon/storage/zfs/driver.ts";
import { attach, detach, takenFromDirectory } from "../../daemon/storage/zfs/mount.ts";
import { type CloneId, makeCloneId, snapshotName, type TemplateName } from "../../protocol/names.ts";
import { eventually, must, run, start } from "../support/process.ts";

const pool = process.env.ISOLATE_TEST_ZPOOL ?? "";
const parent = `${pool}/isolate-zfs-${process.pid}`;
const named = (name: string) => `${parent}/${name}` as TemplateName;
const template = named("t");
const zfs = (...args: string[]) => must(["zfs", ...args]);

(pool === "" ? describe.skip : describe)("on a real pool", () => {
  const directory = mkdtempSync(join(tmpdir(), "isolate-zfs-"));
  const mountDirectory = join(directory, "mounts");
  const driver = createZfsDriver({ store: "s1", mountDirectory });
  const to: IdMap = { userns: -1, uid: 100000, gid: 200000 };
  let nanoseconds = BigInt(Date.now()) * 1_000_000n;
  const nextId = (of = template) => {
    nanoseconds += 1n;
    return makeCloneId(of, nanoseconds);
  };
  const lessee = { uid: to.uid, gid: to.gid, groups: [] };
  const newDirectory = () => {
    const made = mkdtempSync(join(directory, "at-"));
    chmodSync(made, 0o755);
    return made;
  };
  const exists = async (dataset: string) => (await run(["zfs", "list", dataset])).code === 0;
  const newClone = async () => {
    const id = nextId();
    await driver.clone(await driver.latest(template), id);
    return id;
  };
  const mountLine = (at: string) =>
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .find((line) => line.split(" ")[4] === at);
  async function tarOf(...members: readonly string[]): Promise<Buffer> {
    const source = newDirectory();
    for (const member of members) {
      mkdirSync(join(source, member, ".."), { recursive: true });
      writeFileSync(join(source, member), `${member}\n`);
    }
    await must(["tar", "-C", source, "-cf", join(directory, "made.tar"), "."]);
    return readFileSync(join(directory, "made.tar"));
  }

  beforeAll(async () => {
    chmodSync(directory, 0o755);
    const sleeper = start(["unshare", "--user", "sleep", "3600"]);
    const own = (file: string) => `/proc/${sleeper.pid}/${file}`;
    await eventually("a user namespace", () => statSync(own("ns/user")).ino !== statSync("/proc/self/ns/user").ino);
    writeFileSync(own("uid_map"), `0 ${to.uid} 65536\n`);
    writeFileSync(own("gid_map"), `0 ${to.gid} 65536\n`);
    Object.assign(to, { userns: openSync(own("ns/user"), "r") });
    sleeper.kill("SIGKILL");
    await zfs("create", "-o", "mountpoint=none", parent);
    await driver.createTemplate(template, Readable.from([await tarOf("etc/hostname", "bin/tool")]));
  });

  afterAll(async () => {
    for (const { id } of await driver.list()) await driver.destroy(id).catch(() => undefined);
    await run(["zfs", "destroy", "-R", parent]);
    rmSync(directory, { recursive: true });
  });

  test("this host meets the requirements", () => driver.check());

  describe("clones", () => {
    test("a ready clone is mounted nowhere, and its properties protect the host", async () => {
      const mounts = readFileSync("/proc/self/mountinfo", "utf8");
      const id = await newClone();
      expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(mounts);
      const properties = "mountpoint,setuid,devices,com.sun:auto-snapshot,isolate:store,isolate:clone,mounted";
      const values = await zfs("get", "-H", "-o", "value", properties, `${parent}/${id}`);
      expect(values.trim().split("\n")).toEqual(["legacy", "off", "off", "false", "s1", id, "no"]);
      await driver.destroy(id);
      expect(await exists(`${parent}/${id}`)).toBe(false);
    });

    test("a view is writable by the lessee as root inside, and its set-user-id and device files have no effect", async () => {
      const id = await newClone();
      const at = newDirectory();
      await driver.view(id, to, at);
      expect(mountLine(at)).toMatch(/ rw,nosuid,nodev,[^ ]*idmapped /);
      const { uid, gid } = statSync(join(at, "etc/hostname"));
      expect({ uid, gid }).toEqual({ uid: to.uid, gid: to.gid });
      await must(["sh", "-c", `echo changed >${at}/etc/hostname && touch ${at}/new`], { as: lessee });
      await driver.unview(id, at);
      await driver.unview(id, at);
      expect(mountLine(at)).toBeUndefined();
      // A later lessee with other ids sees the same files: the ids on disk are the container's own.
      await driver.view(id, { ...to, uid: 0, gid: 0 }, at);
      expect(readFileSync(join(at, "etc/hostname"), "utf8")).toBe("changed\n");
      await driver.unview(id, at);
      await driver.destroy(id);
    });

    test("a clone in use is busy until its last user has gone", async () => {
      const id = await newClone();
      const at = newDirectory();
      await driver.view(id, to, at);
      const user = start(["sleep", "600"], { cwd: at });
      await eventually("it runs", () => readFileSync(`/proc/${user.pid}/comm`, "utf8") === "sleep\n");
      await driver.unview(id, at);
      await expect(driver.destroy(id)).rejects.toMatchObject({ code: "clone-busy" });
      expect(await exists(`${parent}/${id}`)).toBe(true);
      const gone = new Promise((resolve) => user.once("close", resolve));
      user.kill("SIGKILL");
      await gone;
      await driver.destroy(id);
      await driver.destroy(id);
      expect(await exists(`${parent}/${id}`)).toBe(false);
    });

    test("never touches a dataset with a clone's name but without isolate's mark", async () => {
      const id = nextId();
      await zfs("create", "-o", "mountpoint=none", `${parent}/${id}`);
      await driver.destroy(id);
      await zfs("set", "isolate:store=s2", `isolate:clone=${id}`, `${parent}/${id}`);
      await driver.destroy(id);
      expect(await exists(`${parent}/${id}`)).toBe(true);
      expect((await driver.list()).map((clone) => clone.id)).not.toContain(id);
      await expect(driver.clone(await driver.latest(template), id)).rejects.toMatchObject({ code: "storage-failed" });
      expect(await exists(`${parent}/${id}`)).toBe(true);
      await zfs("destroy", `${parent}/${id}`);
    });

    test("keeps datasets that an administrator made from a clone, and the clone", async () => {
      const id = await newClone();
      const dataset = `${parent}/${id}`;
      // The child has exactly the clone's name and inherits its marks.
      await zfs("create", `${dataset}/${id}`);
      expect((await driver.list()).filter((clone) => clone.id === id)).toHaveLength(1);
      const blocked = (name: string) => ({ code: "clone-blocked", message: expect.stringContaining(name) });
      await zfs("snapshot", `${dataset}@free`);
      await expect(driver.destroy(id)).rejects.toMatchObject(blocked(`${dataset}/${id}`));
      await zfs("destroy", `${dataset}/${id}`);
      await zfs("snapshot", `${dataset}@mine`);
      await zfs("hold", "keep", `${dataset}@mine`);
      await expect(driver.destroy(id)).rejects.toMatchObject(blocked(`${dataset}@mine`));
      await zfs("release", "keep", `${dataset}@mine`);
      await zfs("clone", "-o", "mountpoint=none", `${dataset}@mine`, `${parent}/theirs`);
      await expect(driver.destroy(id)).rejects.toMatchObject(blocked(`${parent}/theirs`));
      expect(await exists(`${dataset}@free`)).toBe(true);
      await zfs("destroy", `${parent}/theirs`);
      await driver.destroy(id);
      expect(await exists(dataset)).toBe(false);
    });

    test.each([false, true])("snapshots that nobody needs go with it (by commands: %s)", async (commandsOnly) => {
      const verbs: string[] = [];
      const counted: Zfs = (args) => {
        verbs.push(args[0] ?? "");
        return runZfs(args);
      };
      const one = createZfsDriver({ store: "s1", mountDirectory, commandsOnly, zfs: counted });
      const ids = [nextId(), nextId()];
      for (const id of ids) await one.clone(await one.latest(template), id);
      const unmarked = `${parent}/unmarked`;
      await zfs("create", "-o", "mountpoint=none", unmarked);
      await zfs("snapshot", "-r", `${parent}@autosnap_1`);
      await zfs("snapshot", "-r", `${parent}@autosnap_2`);
      await Promise.all(ids.map((id) => one.destroy(id)));
      for (const id of ids) expect(await exists(`${parent}/${id}`)).toBe(false);
      expect(verbs.includes("destroy")).toBe(commandsOnly);
      for (const name of ["autosnap_1", "autosnap_2"]) {
        for (const dataset of [parent, unmarked, template]) {
          expect(await exists(`${dataset}@${name}`)).toBe(true);
        }
        await zfs("destroy", "-r", `${parent}@${name}`);
      }
      await zfs("destroy", unmarked);
    });

    test("a view finds a clone that was renamed since, and tells of one that was destroyed", async () => {
      const other = named("other");
      await zfs("create", "-o", "mountpoint=none", other);
      const inOther = `${other}/t` as TemplateName;
      await driver.createTemplate(inOther, Readable.from([await tarOf("file")]));
      const from = await driver.latest(inOther);
      const ids = [nextId(inOther), nextId(inOther), nextId(inOther)] as const;
      const at = newDirectory();
      for (const id of ids) {
        await driver.clone(from, id);
        await driver.view(id, to, at);
        await driver.unview(id, at); // no mount of it is held
      }
      const restarted = createZfsDriver({ store: "s1", mountDirectory });
      await restarted.list();
      const [renamed, destroyed, moved] = ids;
      await zfs("rename", `${other}/${renamed}`, `${other}/by hand`);
      await zfs("destroy", `${other}/${destroyed}`);
      await restarted.view(renamed, to, at);
      expect(mountLine(at)).toContain("by\\040hand");
      await restarted.unview(renamed, at);
      await expect(restarted.view(destroyed, to, at)).rejects.toMatchObject({ code: "clone-gone" });
      await zfs("rename", other, `${parent}/moved`);
      await restarted.view(moved, to, at);
      expect(mountLine(at)).toContain(` ${parent}/moved/${moved} `);
      await restarted.unview(moved, at);
      for (const id of ids) await restarted.destroy(id);
      await zfs("destroy", "-r", `${parent}/moved`);
    });

    test("finds a renamed clone, and does not touch the dataset that took its name", async () => {
      const renamed = await newClone();
      const at = newDirectory();
      // Attached and removed, so that no mount of it is held, as zfs-rename(8) requires.
      await driver.view(renamed, to, at);
      await driver.unview(renamed, at);
      await zfs("rename", `${parent}/${renamed}`, `${parent}/renamed`);
      await zfs("create", "-o", "mountpoint=none", `${parent}/${renamed}`);
      await driver.destroy(renamed);
      expect(await exists(`${parent}/renamed`)).toBe(false);
      expect(await exists(`${parent}/${renamed}`)).toBe(true);
      await zfs("destroy", `${parent}/${renamed}`);
    });

    test("a later daemon's driver takes over the clones of an earlier one", async () => {
      const id = await newClone();
      const at = newDirectory();
      await driver.view(id, to, at);
      const restarted = createZfsDriver({ store: "s1", mountDirectory });
      expect((await restarted.list()).find((clone) => clone.id === id)).toMatchObject({ id, template });
      await restarted.unview(id, at);
      await restarted.view(id, to, at);
      await restarted.unview(id, at);
      await restarted.destroy(id);
      expect(await exists(`${parent}/${id}`)).toBe(false);
    });

    test("a clone has its template's access lists and quota", async () => {
      const limited = createZfsDriver({ store: "s1", mountDirectory, refquota: "1M" });
      const id = nextId();
      await limited.clone(await driver.latest(template), id);
      const values = await zfs("get", "-H", "-p", "-o", "value", "acltype,refquota", `${parent}/${id}`);
      expect(values).toBe("posix\n1048576\n");
      const at = newDirectory();
      await limited.view(id, to, at);
      const full = await run(["dd", "if=/dev/urandom", `of=${at}/big`, "bs=1M", "count=4", "conv=fsync"], {
        as: lessee,
      });
      expect(full.stderr).toContain("Disk quota exceeded");
      await limited.unview(id, at);
      await limited.destroy(id);
    });

    test("a clone has the properties that its template sets itself, however it is made", async () => {
      const own = named("own");
      const properties = ["sync=disabled", "recordsize=16K", "compression=lz4", "copies=1", "atime=off", "refquota=9M"];
      await zfs("create", ...properties.flatMap((one) => ["-o", one]), "-o", "mountpoint=none", own);
      for (const more of [[], ["compression=zstd-7"]]) {
        for (const one of more) await zfs("set", one, own);
        const id = nextId(own);
        await driver.clone(await driver.snapshot(own), id);
        const names = "sync,recordsize,compression,atime,refquota";
        const [clones, templates] = await Promise.all(
          [`${parent}/${id}`, own].map((dataset) => zfs("get", "-H", "-o", "value", names, dataset)),
        );
        expect(clones).toBe(templates);
        await driver.destroy(id);
      }
      await zfs("destroy", "-r", own);
    });

    test("a clone mounted through a directory is the same", async () => {
      const id = nextId();
      await zfs("clone", "-o", "mountpoint=legacy", await driver.latest(template), `${parent}/${id}`);
      const mounts = readFileSync("/proc/self/mountinfo", "utf8");
      const mount = takenFromDirectory(`${parent}/${id}`, mountDirectory);
      expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(mounts);
      const at = newDirectory();
      attach(mount, at, to);
      expect(mountLine(at)).toMatch(/ rw,nosuid,nodev,[^ ]*idmapped /);
      detach(at);
      await zfs("destroy", `${parent}/${id}`);
    });

    test("prints the times of its operations", async () => {
      const timed = async (act: () => unknown) => {
        const begin = performance.now();
        await act();
        return Math.round((performance.now() - begin) * 10) / 10;
      };
      const ids: CloneId[] = Array.from({ length: 20 }, () => nextId());
      const from = await driver.latest(template);
      const byHand = ids.map((id) => `${parent}/by-hand-${id}`);
      const commands = {
        clones: await timed(async () => {
          for (const dataset of byHand) await zfs("clone", "-o", "mountpoint=legacy", from, dataset);
        }),
        destroys: await timed(async () => {
          for (const dataset of byHand) await zfs("destroy", dataset);
        }),
      };
      const clones = await timed(() => Promise.all(ids.map((id) => driver.clone(from, id))));
      const at = newDirectory();
      const views = [];
      for (const id of ids.slice(0, 10)) {
        views.push(await timed(() => driver.view(id, to, at)));
        await driver.unview(id, at);
      }
      const destroys = await timed(() => Promise.all(ids.map((id) => driver.destroy(id))));
      const list = await timed(() => driver.list());
      process.stderr.write(`${JSON.stringify({ commands, clones, views, destroys, list })}\n`);
    });
  });

  describe("templates", () => {
    test("returns the requested ones that are file systems below a pool", async () => {
      await zfs("create", "-s", "-V", "8M", `${parent}/volume`);
      await zfs("snapshot", `${parent}/volume@a`);
      const found = await driver.templates([template, named("none"), named("volume"), pool as TemplateName]);
      expect(found).toEqual([
        {
          template,
          snapshot: await driver.latest(template),
          created: expect.any(Number),
          bytes: expect.any(Number),
          below: [],
        },
      ]);
      expect((await driver.templates()).map((one) => one.template)).toEqual([template]);
      expect(await createZfsDriver({ store: "s2", mountDirectory }).templates()).toEqual([]);
    });

    test("are found by the last component of their names, and their clones are not", async () => {
      const last = template.slice(template.lastIndexOf("/") + 1);
      const found = await driver.endingIn?.(last);
      expect(found).toContain(template);
      for (const name of found ?? []) expect(name.endsWith(`/${last}`)).toBe(true);
    });

    test("are made from a tar with ids, attributes and access lists, and removed again", async () => {
      const source = newDirectory();
      const script = `cd ${source} && touch a b && chown 5:6 a && chmod 4711 a && mknod n c 1 3 &&
        setfattr -n user.x -v y a && setfacl -m u:7:r b && setcap cap_net_raw+ep b && tar --acls --xattrs --xattrs-include='*' -cf ../full.tar .`;
      await must(["sh", "-c", script]);
      const made = await driver.createTemplate(
        named("full"),
        Readable.from([readFileSync(join(directory, "full.tar"))]),
      );
      expect(made).toMatch(new RegExp(`^${named("full")}@`));
      expect(await driver.latest(named("full"))).toBe(made);
      const at = newDirectory();
      await driver.edit(named("full"), to, at);
      const look = `cd ${at} && stat -c '%a %u:%g %F' a n && getfattr --only-values -n user.x a && getfacl -nc b && getcap b`;
      const seen = await must(["sh", "-c", look]);
      expect(seen).toContain(`4711 ${to.uid + 5}:${to.gid + 6} regular empty file\n`);
      expect(seen).toContain("character special file\ny");
      expect(seen).toContain(`user:${to.uid + 7}:r--`);
      expect(seen).toContain("cap_net_raw=ep");
      await driver.unedit(named("full"), at);
      expect(await zfs("get", "-H", "-o", "value", "isolate:unfinished,mounted", named("full"))).toBe("-\nno\n");
      const id = nextId(named("full"));
      await driver.clone(made, id);
      await expect(driver.removeTemplate(named("full"))).rejects.toMatchObject({ code: "template-busy" });
      await driver.destroy(id);
      await driver.removeTemplate(named("full"));
      expect(await exists(named("full"))).toBe(false);
      await expect(driver.removeTemplate(named("full"))).rejects.toMatchObject({ code: "unknown-template" });
    });

    test("leave nothing behind if they cannot be made", async () => {
      const whole = await tarOf("a", "b");
      const broken = async function* () {
        yield whole.subarray(0, 700);
        throw new Error("the client went away");
      };
      const cases = [
        ["bad-tar", Readable.from([Buffer.from("this is no archive")])],
        ["bad-tar", Readable.from([whole.subarray(0, 700)])],
        ["bad-tar", Readable.from(broken())],
      ] as const;
      for (const [code, tar] of cases) {
        await expect(driver.createTemplate(named("bad"), tar)).rejects.toMatchObject({ code });
        expect(await exists(named("bad"))).toBe(false);
      }
      await zfs("create", "-o", "mountpoint=none", "-o", "quota=2M", `${parent}/small`);
      await must([
        "sh",
        "-c",
        `head -c 8M /dev/urandom >${directory}/8M && tar -C ${directory} -cf ${directory}/big.tar 8M`,
      ]);
      const big = Readable.from([readFileSync(join(directory, "big.tar"))]);
      await expect(driver.createTemplate(named("small/t"), big)).rejects.toMatchObject({ code: "storage-full" });
      expect(await exists(named("small/t"))).toBe(false);
      await expect(driver.createTemplate(template, Readable.from([whole]))).rejects.toMatchObject({
        code: "template-exists",
      });
      await expect(driver.createTemplate(named("no/t"), Readable.from([whole]))).rejects.toMatchObject({
        code: "storage-failed",
        message: expect.stringContaining(`zfs create -p ${parent}/no`),
      });
      expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(mountDirectory);
    });

    test("that another program made are not removed", async () => {
      await zfs("create", "-o", "mountpoint=none", named("foreign"));
      await zfs("snapshot", `${named("foreign")}@a`);
      await expect(driver.removeTemplate(named("foreign"))).rejects.toMatchObject({ code: "template-foreign" });
      expect(await exists(`${named("foreign")}@a`)).toBe(true);
    });

    test("the latest snapshot is the last one with changes, whatever other snapshots follow", async () => {
      const at = newDirectory();
      const fresh = named("latest");
      await driver.createTemplate(fresh, Readable.from([await tarOf("a")]));
      const first = await driver.latest(fresh);
      await zfs("snapshot", `${fresh}@auto-1`);
      expect(await driver.latest(fresh)).toBe(first);
      await driver.edit(fresh, to, at);
      await must(["touch", join(at, "new")], { as: lessee });
      await zfs("snapshot", `${fresh}@auto-2`);
      await zfs("snapshot", `${fresh}@release`);
      await driver.unedit(fresh, at);
      expect(await driver.latest(fresh)).toBe(snapshotName(fresh, "auto-2"));
      expect(await driver.latest(fresh, "release*")).toBe(snapshotName(fresh, "release"));
      await expect(driver.latest(fresh, "none*")).rejects.toMatchObject({ code: "no-snapshot" });
      await expect(driver.latest(named("none"))).rejects.toMatchObject({ code: "unknown-template" });
      const [one, two] = [await driver.snapshot(fresh), await driver.snapshot(fresh)];
      expect(one < two).toBe(true);
    });

    test("anyone's snapshot is noticed within 5 s, and a second one in the same second too", async () => {
      const times: number[] = [];
      const stop = driver.watch(
        () => [template, named("none")],
        () => void times.push(Date.now()),
      );
      await eventually("the first look", () => times.length > 0);
      await new Promise((resolve) => setTimeout(resolve, 5000));
      const before = times.length;
      const made = Date.now();
      await zfs("snapshot", `${template}@by-hand`);
      await eventually("it is noticed", () => times.length > before, 5000);
      const noticed = (times[before] ?? 0) - made;
      await zfs("snapshot", `${template}@by-hand-2`);
      const second = Date.now();
      await eventually("the second is noticed", () => times.some((time) => time > second), 5000);
      stop();
      process.stderr.write(`${JSON.stringify({ noticed })}\n`);
    });
  });

  test("a descriptor kept elsewhere keeps a clone busy", async () => {
    const id = await newClone();
    const at = newDirectory();
    await driver.view(id, to, at);
    const copy = cloneMount(at);
    await driver.unview(id, at);
    await expect(driver.destroy(id)).rejects.toMatchObject({ code: "clone-busy" });
    closeDescriptor(copy);
    await driver.destroy(id);
  });
});
