/** The daemon may die at any moment: sandboxes continue, and half-done work is finished or undone. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { eventually, finished, must, root } from "../support/process.ts";
import { alice, bob, createWorld, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
}, 1_200_000);
afterAll(() => world.close(), 300_000);

async function up(command: string, args: readonly string[] = [], as = alice) {
  const child = world.begin(["-z", world.template, ...args, "sh", "-c", `echo up; ${command}`], { as });
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  return child;
}

test.each([
  ["SIGKILL", "a run", [], alice],
  ["SIGTERM", "a run", [], alice],
  ["SIGKILL", "a run with ids that root chose", ["-u", "1000000"], root],
] as const)(
  "after %s of the daemon %s continues, and its clone is removed at its end",
  async (signal, _what, args, as) => {
    const before = await world.settled();
    const child = await up("read line; touch /alive && chown 33 /alive && hostname", args, as);
    expect(await world.endDaemon(signal)).toBe(signal === "SIGTERM" ? 0 : 137);
    await world.startDaemon();
    expect(await world.leases()).toHaveLength(1);
    const end = finished(child, { input: "\n" });
    expect((await end).code).toBe(0);
    expect(await world.settled()).toEqual(before);
  },
);

test("the next daemon cleans up after a run that ended without one", async () => {
  const before = await world.settled();
  const child = await up("read line");
  await world.endDaemon("SIGKILL");
  await finished(child, { input: "\n" });
  await world.startDaemon();
  expect(await world.settled()).toEqual(before);
});

test("a daemon killed repeatedly while it works leaves a complete pool and nothing else", async () => {
  const before = await world.settled();
  for (let round = 0; round < 6; round++) {
    const runs = [1, 2, 3, 4].map(() => world.isolate(["-z", world.template, "sleep", "0.05"]));
    await new Promise((resolve) => setTimeout(resolve, 15 * round));
    await world.endDaemon("SIGKILL");
    await Promise.all(runs);
    await world.startDaemon();
  }
  expect(await world.settled()).toEqual(before);
  const names = await must(["find", `${world.runtime}/users`, "-mindepth", "2", "-not", "-name", "userns*"]);
  expect(names).toBe("");
});

/** As an administrator would who cleans up by hand. */
async function removeClonesFromStorage(): Promise<void> {
  const parent = world.template.slice(0, world.template.lastIndexOf("/") + 1);
  const remove =
    parent === "" ? "rm -rf $0/overlay/clones/*" : "zfs list -Ho name | grep ^$1debian_ | xargs -rn 1 zfs destroy";
  await must(["sh", "-c", remove, world.state, parent]);
}

test("clones missing from the storage are not leased; callers get others", async () => {
  const before = await world.settled();
  await world.endDaemon("SIGKILL");
  await removeClonesFromStorage();
  await world.startDaemon();
  expect(await world.isolate(["-q", "-z", world.template, "true"])).toMatchObject({ code: 0, stderr: "" });
  expect(await world.settled()).toEqual(before);
  // A running daemon holds every dataset, and the mounts prepared for alice.
  if (!world.template.includes("/")) {
    await removeClonesFromStorage();
    expect(await world.isolate(["-q", "-z", world.template, "true"], { as: bob })).toMatchObject({
      code: 0,
      stderr: "",
    });
    expect(await world.settled()).toEqual(before);
  }
});

test("reports what to start if there is no daemon", async () => {
  await world.endDaemon("SIGTERM");
  const { code, stderr } = await world.isolate(["-z", world.template, "true"]);
  expect({ code, stderr }).toMatchObject({
    code: 125,
    stderr: expect.stringMatching(/^isolate: cannot reach the daemon at .*\n.*systemctl start isolated\.socket.*\n$/),
  });
  await world.startDaemon();
});

test("two daemons never share a state directory", async () => {
  const second = await eventually("the second daemon ends", () => world.secondDaemon());
  expect(second.code).toBe(125);
  expect(second.stderr).toMatch(/^isolated: cannot start: another daemon uses /);
  expect((await world.isolate(["-z", world.template, "true"])).code).toBe(0);
});
