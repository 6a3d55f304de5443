/** Pools: full, fresh, and of the size that root sets; parallel runs and callers that wait. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { instancesOf } from "../../daemon/pools/unit-instance.ts";
import { parseTemplateName } from "../../protocol/names.ts";
import { eventually, root } from "../support/process.ts";
import { alice, createWorld, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld({ size: 5 });
}, 1_200_000);
afterAll(() => world.close(), 300_000);

const asRoot = (...args: string[]) => world.isolate(args, { as: root, patience: 300_000 });

test("50 parallel runs on a pool of 5 all succeed, each in its own clone, and the pool ends full", async () => {
  const before = await world.settled();
  const runs = Array.from({ length: 50 }, () =>
    world.isolate(["-z", world.template, "sh", "-c", "test ! -e /mark && touch /mark && hostname"], {
      patience: 300_000,
    }),
  );
  const outcomes = await Promise.all(runs);
  expect(outcomes.filter(({ code }) => code !== 0)).toEqual([]);
  expect(new Set(outcomes.map(({ stdout }) => stdout)).size).toBe(50);
  expect(await world.settled()).toEqual(before);
});

describe("-r TEMPLATE N", () => {
  test("returns when the pool has its size, larger or smaller", async () => {
    for (const size of [7, 2, 0, 5]) {
      const { code, stderr } = await asRoot("-r", world.template, String(size));
      expect({ code, stderr }).toMatchObject({ code: 0 });
      expect(await world.pool()).toMatchObject({ size, ready: size });
    }
  });

  test("keeps the pool's size without N, and creates the missing clones", async () => {
    for (const size of [2, 5]) {
      await asRoot("-r", world.template, String(size));
      const { code, stdout } = await asRoot("-r", world.template);
      expect(code).toBe(0);
      expect(stdout).toContain(world.template);
      expect(await world.pool()).toMatchObject({ size, ready: size });
    }
  });

  test("-f replaces every ready clone, -s creates none", async () => {
    const name = async () => (await world.isolate(["-z", world.template, "hostname"])).stdout;
    const first = await name();
    await world.settled();
    expect((await asRoot("-r", world.template, "5", "-f")).code).toBe(0);
    expect(await world.pool()).toMatchObject({ size: 5, ready: 5 });
    expect((await name()) > first).toBe(true);
    expect((await asRoot("-r", world.template, "9", "-s")).code).toBe(0);
    expect(await world.settled()).toMatchObject({ size: 5, ready: 5 });
  });

  test("with --instance, as in the unit, finds the template by the unit's name or reports why not", async () => {
    for (const instance of instancesOf(parseTemplateName(world.template)))
      expect(await asRoot("-q", "--instance", "-r", instance)).toEqual({ code: 0, stdout: "", stderr: "" });
    for (const instance of ["nothing", "rpool-isolate-nothing"]) {
      const { code, stderr } = await asRoot("-q", "--instance", "-r", instance);
      expect({ code, stderr }).toEqual({ code: 125, stderr: expect.stringContaining("isolate: cannot ") });
    }
    const misplaced = await asRoot("--instance", "-z", world.template, "true");
    expect(misplaced.stderr).toContain("--instance goes only with -r");
  });

  test("does not touch a clone in use", async () => {
    const child = world.begin(["-z", world.template, "sh", "-c", "echo up; read line; touch /alive && echo alive"]);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    expect((await asRoot("-r", world.template, "5", "-f")).code).toBe(0);
    const said = new Promise((resolve) => child.stdout?.once("data", (chunk: Buffer) => resolve(chunk.toString())));
    child.stdin?.end("\n");
    expect(await said).toBe("alive\n");
    await world.settled();
  });

  test("a pool of size 0 still serves: it creates a clone on request", async () => {
    await asRoot("-r", world.template, "0");
    expect((await world.isolate(["-z", world.template, "true"])).code).toBe(0);
    expect(await world.settled()).toMatchObject({ size: 0, ready: 0 });
    await asRoot("-r", world.template, "5");
  });
});

test("the next run sees a new snapshot, and no ready clone of the old one stays", async () => {
  const edited = await asRoot("template", "edit", world.template, "sh", "-c", "echo new > /etc/mark");
  expect(edited).toMatchObject({ code: 0 });
  expect((await world.isolate(["-z", world.template, "test", "-e", "/etc/mark"])).code).toBe(1);
  const { stdout, code } = await asRoot("template", "snapshot", world.template);
  expect(code).toBe(0);
  expect(stdout).toContain(`${world.template}@`);
  expect((await world.isolate(["-z", world.template, "cat", "/etc/mark"])).stdout).toBe("new\n");
  await eventually("the pool is of the new snapshot", async () => {
    const pool = await world.settled();
    return stdout.includes(pool.snapshot ?? "none");
  });
});

test("a user's limit counts every clone, and limits no one else", async () => {
  const limited = await createWorld({ size: 1, config: "[limits]\nleases_per_user = 2" });
  try {
    const children = [1, 2].map(() => limited.begin(["-z", limited.template, "sh", "-c", "echo up; read line"]));
    await Promise.all(children.map((child) => new Promise((resolve) => child.stdout?.once("data", resolve))));
    const third = await limited.isolate(["-z", limited.template, "true"]);
    expect(third).toMatchObject({ code: 125, stdout: "" });
    expect(third.stderr).toContain(
      `cannot start another sandbox: user ${alice.uid} already uses 2 copies, which is the limit`,
    );
    expect((await limited.isolate(["-z", limited.template, "true"], { as: root })).code).toBe(0);
    for (const child of children) child.stdin?.end("\n");
    await limited.settled();
    expect((await limited.isolate(["-z", limited.template, "true"])).code).toBe(0);
  } finally {
    await limited.close();
  }
}, 1_200_000);
