/** No space left: one error, nothing half done, and everything continues without help once there is space again. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { debianTar } from "../support/debian-root.ts";
import { eventually, must, type Outcome, root, run } from "../support/process.ts";
import { createWorld, type World } from "../support/world.ts";

const pool = process.env.ISOLATE_TEST_ZPOOL;
let world: World;

beforeAll(async () => {
  world = await createWorld({ size: 2, storageMebibytes: 500 });
}, 1_200_000);
afterAll(() => world.close(), 300_000);

const asRoot = (...args: string[]) => world.isolate(args, { as: root, patience: 900_000 });

async function listed(): Promise<string[]> {
  const found = JSON.parse((await asRoot("template", "ls", "--json")).stdout) as { template: string }[];
  return found.map(({ template }) => template);
}

function expectFull({ code, stdout, stderr }: Outcome, doing: RegExp): void {
  const sentence = /^isolate: cannot [^\n]+: the storage is full \([^\n]+\)[^\n]*\n {2}[^\n]+\n$/;
  expect({ code, stdout, stderr }).toEqual({ code: 125, stdout: "", stderr: expect.stringMatching(sentence) });
  expect(stderr).toMatch(doing);
}

/** Fills the storage to the last block, including blocks freed since the last call. Returns a function to free all. */
async function fill(round = 0): Promise<() => Promise<void>> {
  if (pool) {
    const dataset = world.template.replace(/\/[^/]*$/, "");
    const used = (await must(["zfs", "get", "-Hpo", "value", "used", dataset])).trim();
    await must(["zfs", "set", `quota=${used}`, dataset]);
    return async () => void (await must(["zfs", "set", "quota=none", dataset]));
  }
  const filler = join(world.state, `filler.${round}`);
  await run(["sh", "-c", 'cat /dev/zero > "$0"; cat /dev/zero > "$0.2"; sync', filler], { patience: 300_000 });
  return async () => {
    for (const name of readdirSync(world.state)) if (name.startsWith("filler.")) rmSync(join(world.state, name));
  };
}

const before = async () => ({ pool: await world.settled(), templates: await listed() });

test("a template that does not fit leaves nothing behind", async () => {
  const was = await before();
  const other = world.template.replace(/debian$/, "other");
  const free = pool ? await fill() : undefined;
  try {
    // The store has room for at most three.
    const outcomes: Outcome[] = [];
    const names = [other, `${other}-2`, `${other}-3`, `${other}-4`];
    for (const name of names) outcomes.push(await asRoot("template", "create", "-q", name, "--tar", await debianTar()));
    const failed = names.filter((_, index) => outcomes[index]?.code !== 0);
    expect(failed.length).toBeGreaterThan(0);
    for (const outcome of outcomes.filter(({ code }) => code !== 0)) expectFull(outcome, /cannot create the template/);
    for (const name of failed) expect(await listed()).not.toContain(name);
    for (const name of names.filter((one) => !failed.includes(one))) {
      await eventually("it is removed", async () => (await asRoot("template", "rm", name)).code === 0);
    }
  } finally {
    await free?.();
  }
  expect(await before()).toEqual(was);
  expect((await asRoot("template", "create", "-q", other, "--tar", await debianTar())).code).toBe(0);
  await eventually("it is removed", async () => (await asRoot("template", "rm", other)).code === 0);
  expect(await before()).toEqual(was);
}, 1_200_000);

async function refused(): Promise<Outcome> {
  return await eventually("a run is refused", async () => {
    await fill(Date.now());
    const outcome = await world.isolate(["-q", "-z", world.template, "--wait", "2", "true"]);
    return outcome.code === 0 ? null : outcome;
  });
}

function expectRefused(refusal: Outcome): void {
  expect(refusal).toMatchObject({ code: 125, stdout: "", stderr: expect.stringMatching(/storage is full/) });
  expect(refusal.stderr.split("\n")).toHaveLength(3);
}

test("a run reports that the storage is full, and the pool refills once there is space", async () => {
  const was = await before();
  const free = await fill();
  try {
    // A quota refuses no clone: a ZFS clone takes no space until something is written (the next test).
    if (pool) expect((await world.isolate(["-q", "-z", world.template, "true"])).code).toBe(0);
    else expectRefused(await refused());
    await world.pool();
    expect((await asRoot("template", "ls")).code).toBe(0);
  } finally {
    await free();
  }
  expect(
    (
      await world.isolate(["-z", world.template, "--wait", "120", "sh", "-c", "echo x > /x && cat /x"], {
        patience: 200_000,
      })
    ).stdout,
  ).toBe("x\n");
  await eventually(
    "the pool is as it was",
    async () => JSON.stringify(await before()) === JSON.stringify(was),
    120_000,
  );
  if (!pool) expect(readdirSync(join(world.state, "overlay/clones"))).toHaveLength(2);
}, 1_200_000);

test("a sandbox that fills the storage gets an error, and affects no one else", async () => {
  const was = await before();
  const free = pool ? await fill() : undefined;
  try {
    const { code, stderr } = await world.isolate(["-z", world.template, "sh", "-c", "cat /dev/urandom > /fill"], {
      patience: 300_000,
    });
    // cat(1) exits with 1; the shell exits with 2 if there was no room for the file itself.
    expect([1, 2]).toContain(code);
    expect(stderr).toMatch(/No space left on device|Disk quota exceeded/);
  } finally {
    await free?.();
  }
  await eventually(
    "the pool is as it was",
    async () => JSON.stringify(await before()) === JSON.stringify(was),
    120_000,
  );
  expect((await world.isolate(["-z", world.template, "true"])).code).toBe(0);
}, 1_200_000);
