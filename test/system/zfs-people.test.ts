/** Other uses of a pool beside isolate: recursive snapshots, renames, keys, suspended pools. Needs a real ZFS. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Template } from "../../protocol/schema.ts";
import { eventually, must, type Outcome, root, run, start } from "../support/process.ts";
import { createWorld, type World } from "../support/world.ts";

const pool = process.env.ISOLATE_TEST_ZPOOL ?? "";
const zfs = (...args: string[]) => must(["zfs", ...args], { patience: 120_000 });
const zpool = (...args: string[]) => must(["zpool", ...args], { patience: 120_000 });
const exists = async (name: string) => (await run(["zfs", "list", name])).code === 0;

(pool === "" ? describe.skip : describe)("with a daemon", () => {
  let world: World;
  let parent: string;
  beforeAll(async () => {
    world = await createWorld({ size: 2, config: "[limits]\nleases_per_user = 3" });
    parent = world.template.replace(/\/[^/]*$/, "");
  }, 1_200_000);
  afterAll(() => world.close(), 300_000);

  const asRoot = (...args: string[]): Promise<Outcome> => world.isolate(args, { as: root, patience: 300_000 });
  const runs = (template = world.template, ...more: string[]): Promise<Outcome> =>
    world.isolate(["-q", "-z", template, ...more, "true"], { patience: 300_000 });
  const clones = async (of = world.template): Promise<string[]> =>
    (await zfs("list", "-H", "-r", "-t", "filesystem", "-o", "name", of.replace(/\/[^/]*$/, "")))
      .split("\n")
      .filter((name) => name.startsWith(`${of}_`));
  const poolOf = async (template: string) =>
    (JSON.parse((await asRoot("pool", "--json")).stdout) as Awaited<ReturnType<typeof world.pools>>).find(
      (one) => one.template === template,
    );
  async function newTemplate(name: string, ...options: string[]): Promise<string> {
    await zfs("clone", "-o", "mountpoint=legacy", ...options, `${pool}/debian-base@whole`, name);
    await zfs("snapshot", `${name}@first`);
    return name;
  }
  /** zfs-snapshot(8) fails as a whole if a clone is destroyed in the meantime. */
  const recursively = (name: string) =>
    eventually(
      `a snapshot ${name}`,
      async () => (await run(["zfs", "snapshot", "-r", `${parent}@${name}`])).code === 0,
    );
  async function isReady(template: string, size: number): Promise<void> {
    await eventually(`${template} has ${size} ready`, async () => (await poolOf(template))?.ready === size, 10_000);
  }

  describe("recursive snapshots by others", () => {
    test("are destroyed with used clones, and cause no refusal", async () => {
      const child = world.begin(["-q", "-z", world.template, "sh", "-c", "echo up; read line"]);
      await new Promise((resolve) => child.stdout?.once("data", resolve));
      await recursively("autosnap_1");
      await recursively("autosnap_2");
      child.stdin?.end("\n");
      await world.settled();
      for (let round = 0; round < 4; round++) {
        await recursively(`hourly-${round}`);
        expect(await runs()).toMatchObject({ code: 0 });
      }
      await world.settled();
      expect(await exists(`${world.template}@autosnap_1`)).toBe(true);
    }, 600_000);

    test("clones that cannot be destroyed do not count for the user, -r reports them, and they go when they can", async () => {
      await asRoot("-r", world.template, "2");
      const left: string[] = [];
      for (let round = 0; round < 3; round++) {
        const child = world.begin(["-q", "-z", world.template, "sh", "-c", "hostname; read line"]);
        const [said] = await new Promise<Buffer[]>((resolve) => child.stdout?.once("data", (...all) => resolve(all)));
        const name = `${parent}/${String(said).trim()}`;
        await zfs("snapshot", `${name}@repl`);
        await zfs("hold", "keep", `${name}@repl`);
        left.push(name);
        child.stdin?.end("\n");
        await eventually("it is given up", async () => ((await poolOf(world.template))?.failed ?? 0) > round, 10_000);
      }
      expect(await runs()).toMatchObject({ code: 0, stderr: "" });
      const { stderr, code } = await asRoot("-r", world.template, "0");
      expect(code).toBe(0);
      for (const name of left) {
        expect(stderr).toContain(`cannot destroy the clone '${name.replace(/.*\//, "")}': somebody holds ${name}@repl`);
        await zfs("release", "keep", `${name}@repl`);
      }
      await asRoot("-r", world.template, "2");
      await world.settled();
      for (const name of left) expect(await exists(name)).toBe(false);
    }, 600_000);
  });

  test("no run fails because ready clones were destroyed or renamed by hand after a restart", async () => {
    // More clones than a lease tries.
    const size = 12;
    const template = await newTemplate(`${parent}/by-hand`);
    expect(await asRoot("-r", template, String(size))).toMatchObject({ code: 0 });
    await world.endDaemon("SIGTERM");
    await world.startDaemon();
    await isReady(template, size);
    const [renamed = "", ...others] = await clones(template);
    await zfs("rename", renamed, `${parent}/renamed`);
    for (const clone of others) await zfs("destroy", clone);
    for (let round = 0; round < 2; round++) expect(await runs(template)).toMatchObject({ code: 0, stderr: "" });
    await isReady(template, size);
    await asRoot("-r", template, "0");
    expect(await exists(`${parent}/renamed`)).toBe(false);
    await zfs("destroy", "-r", template);
    expect(await asRoot("template", "rm", template)).toMatchObject({ code: 0 });
    expect(await poolOf(template)).toBeUndefined();
  }, 600_000);

  describe("a template that no longer exists", () => {
    test("after a rename its clones go without help, and its pool with the doctor's command", async () => {
      const template = await newTemplate(`${parent}/old name`);
      expect(await asRoot("-r", template, "2")).toMatchObject({ code: 0 });
      expect(await runs(template)).toMatchObject({ code: 0 });
      await isReady(template, 2);
      await zfs("rename", template, `${parent}/new`);
      await eventually("the ready clones are gone", async () => (await clones(template)).length === 0, 10_000);
      expect(await poolOf(template)).toMatchObject({ missing: true });
      const command = `isolate -r '${template}' 0`;
      expect((await asRoot("doctor")).stdout).toContain(command);
      await zfs("destroy", "-r", `${parent}/new`);
      expect(await asRoot("-r", template, "0")).toMatchObject({ code: 0 });
      expect(await poolOf(template)).toBeUndefined();
      expect((await asRoot("doctor")).stdout).not.toContain(template);
      expect(await runs(template)).toMatchObject({ code: 125, stderr: expect.stringContaining("cannot find") });
    }, 600_000);

    test("if renamed back, its pool continues and shows no error", async () => {
      const template = await newTemplate(`${parent}/-there_and_back`);
      await asRoot("-r", template, "1");
      await zfs("rename", template, `${parent}/away`);
      await eventually("it is missed", async () => (await poolOf(template))?.missing === true, 10_000);
      await zfs("rename", `${parent}/away`, template);
      await isReady(template, 1);
      expect(await poolOf(template)).toMatchObject({ missing: false, lastError: null });
      expect(await runs(template)).toMatchObject({ code: 0 });
      await asRoot("-r", template, "0");
      await zfs("destroy", "-r", template);
      await asRoot("-r", template, "0");
    }, 600_000);

    test("if configured, it stays until the configuration drops it", async () => {
      const template = `${parent}/configured`;
      world.configure(`[limits]\nleases_per_user = 3\n[[template]]\nname = "${template}"\n`);
      await world.endDaemon("SIGTERM");
      await world.startDaemon();
      const { code, stderr } = await asRoot("-r", template, "0");
      expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining("isolated.toml") });
      world.configure("[limits]\nleases_per_user = 3");
      await world.endDaemon("SIGTERM");
      await world.startDaemon();
      await asRoot("-r", template, "0");
      expect(await poolOf(template)).toBeUndefined();
    }, 600_000);
  });

  test("names a key that is not loaded, and serves waiting callers once it is loaded", async () => {
    const secret = `${parent}/secret`;
    const keyFile = join(world.directory, "key");
    writeFileSync(keyFile, "a passphrase\n");
    const encrypted = ["-o", "encryption=on", "-o", "keyformat=passphrase", "-o", `keylocation=file://${keyFile}`];
    await zfs("create", "-o", "mountpoint=none", ...encrypted, secret);
    const template = `${secret}/t`;
    await zfs("create", "-o", "mountpoint=legacy", template);
    await zfs("snapshot", `${template}@first`);
    expect(await asRoot("-r", template, "1")).toMatchObject({ code: 0 });
    // The root is empty: the exit code shows that a missing command was run.
    expect(await runs(template)).toMatchObject({ code: 127 });
    await isReady(template, 1);
    expect((await run(["zfs", "unload-key", secret])).stderr).toContain("busy");
    expect((await asRoot("doctor")).stdout).toContain("isolate -r TEMPLATE 0");
    await asRoot("-r", template, "0");
    await zfs("unload-key", secret);

    const tar = join(world.directory, "small.tar");
    await must(["tar", "-cf", tar, "-C", "/etc", "hostname"]);
    const created = await asRoot("template", "create", "-q", `${secret}/new`, "--tar", tar);
    expect(created.stderr).toContain(`zfs load-key ${secret}`);
    const refused = await runs(template, "--wait", "3");
    expect(refused).toMatchObject({
      code: 125,
      stderr: expect.stringContaining(`the key of '${secret}' is not loaded`),
    });
    // So often that the next try would come after a minute.
    const waiting = runs(template, "--wait", "600");
    const tries = () => world.log().split("cannot refill the pool").length;
    const before = tries();
    await eventually("it was tried often", async () => tries() > before + 8, 20_000);
    await zfs("load-key", secret);
    expect(await waiting).toMatchObject({ code: 127 });
    await asRoot("-r", template, "0");
    expect(await poolOf(template)).toMatchObject({ lastError: null });
    await zfs("destroy", "-r", secret);
    await asRoot("-r", template, "0");
  }, 600_000);

  test("a suspended storage pool blocks only its own templates", async () => {
    const directory = mkdtempSync(join(tmpdir(), "isolate-suspended-"));
    const other = `isosus-${process.pid}`;
    const template = `${other}/t`;
    const size = (megabytes: number) => must(["mount", "-o", `remount,size=${megabytes}M`, directory]);
    await must(["mount", "-t", "tmpfs", "-o", "size=200M", "isolate-test", directory]);
    try {
      await must(["truncate", "-s", "150M", `${directory}/disk`]);
      await zpool("create", "-m", "none", "-o", "cachefile=none", other, `${directory}/disk`);
      await zfs("create", "-o", "mountpoint=legacy", template);
      await zfs("snapshot", `${template}@first`);
      expect(await asRoot("-r", template, "2")).toMatchObject({ code: 0 });
      await isReady(template, 2);

      // Writes to it fail from now on.
      await run(["dd", "if=/dev/zero", `of=${directory}/filler`, "bs=1M"]);
      await eventually(
        "it is suspended",
        async () => {
          start(["zfs", "create", "-o", "mountpoint=none", `${other}/x-${Date.now()}`]);
          return (await zpool("list", "-H", "-o", "health", other)).trim() === "SUSPENDED";
        },
        20_000,
      );

      await eventually("it is told", async () => (await poolOf(template))?.lastError?.includes("suspended"), 20_000);
      const listed = JSON.parse((await asRoot("template", "ls", "--json")).stdout) as Template[];
      expect(listed.find((one) => one.template === world.template)?.bytes).toBeGreaterThan(0);
      expect(listed.map((one) => one.template)).toContain(template);
      const { stdout } = await asRoot("doctor");
      expect(stdout).toMatch(new RegExp(`FAIL +zfs +the pool ${other} is suspended`));
      expect(stdout).toMatch(new RegExp(`ok +space +${parent}`));
      const edit = ["template", "edit", world.template, "sh", "-c", "echo x > /x"];
      expect(await asRoot(...edit)).toMatchObject({ code: 0 });
      await zfs("snapshot", `${world.template}@changed-while-suspended`);
      await eventually(
        "the new snapshot is noticed",
        async () => (await poolOf(world.template))?.snapshot?.endsWith("@changed-while-suspended"),
        10_000,
      );
      expect(await runs()).toMatchObject({ code: 0 });
      expect(await asRoot("-r", template, "0")).toMatchObject({ code: 0 });
      expect(await runs()).toMatchObject({ code: 0 });
      await world.settled();

      await size(400);
      await zpool("clear", other);
      await eventually("the pool goes on", async () => (await runs(template)).code === 127, 20_000);
      await asRoot("-r", template, "0");
      expect(await poolOf(template)).toMatchObject({ lastError: null, retired: 0 });
    } finally {
      await size(400);
      await run(["zpool", "clear", other]);
      await run(["zpool", "destroy", "-f", other]);
      await asRoot("-r", template, "0");
      await must(["umount", directory]);
      rmSync(directory, { recursive: true });
    }
  }, 900_000);

  test("what can be no template says why, and what is below one is told", async () => {
    const refused = async (name: string): Promise<string> => (await asRoot("-r", name, "5")).stderr;
    expect(await refused(pool)).toMatch(/^isolate: cannot use '.*' as a template: it is the root of a storage pool/);
    await zfs("create", "-s", "-V", "8M", `${parent}/volume`);
    expect(await refused(`${parent}/volume`)).toContain("as a template: it is a volume");
    await zfs("destroy", `${parent}/volume`);
    const template = await newTemplate(`${parent}/my image_1`, "-o", "sync=disabled");
    await zfs("create", "-o", "mountpoint=none", `${template}/home`);
    await zfs("snapshot", `${template}@autosnap_2026-11-28`);
    const { code, stderr } = await asRoot("-r", template, "1");
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringContaining(`not in its clones: ${template}/home`),
    });
    expect((await asRoot("doctor")).stdout).toContain(`not in its clones: ${template}/home`);
    expect(await runs(template)).toMatchObject({ code: 0 });
    await asRoot("-r", template, "0");
    await zfs("destroy", "-r", template);
    await asRoot("-r", template, "0");
  }, 600_000);
});
