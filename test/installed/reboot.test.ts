/** After a reboot in the middle of the machine's work (see the end of install.test.ts). */
import { expect, test } from "@jest/globals";
import { eventually, must } from "../support/process.ts";
import { asUser, clones, isActive, pool, systemctl, template, user } from "./host.ts";

/** Set by root in install.test.ts, and kept across the reboot. */
const wanted = 20;
let before: string[];

test("the socket exists, and its first use starts the daemon", async () => {
  before = await clones();
  expect(before.length).toBeGreaterThan(0);
  expect(await isActive("isolated.socket")).toBe(true);
  expect(await asUser(`isolate -z ${template} id -u`)).toMatchObject({ code: 0, stdout: "0\n" });
  expect(await isActive("isolated.service")).toBe(true);
});

test("the pool is full again, and no clone from before is left", async () => {
  await eventually(
    "the pool is whole",
    async () => {
      const now = await pool();
      return now.ready === wanted && now.creating + now.leased + now.retired === 0;
    },
    120_000,
  );
  const now = await clones();
  expect(now).toHaveLength(wanted);
  expect(now.filter((name) => before.includes(name))).toEqual([]);
  await must(["isolate", "-r", template, "3"], { patience: 60_000 });
});

test("'zfs mount -a' mounts none of isolate's datasets", async () => {
  await must(["zfs", "mount", "-a"]);
  expect(await must(["sh", "-c", `grep -F '${template}' /proc/self/mounts || true`])).toBe("");
});

test("the enabled path unit watches again", async () => {
  expect(await systemctl("list-units", "--plain", "--no-legend", "isolate_regenerate@*.path")).toContain("active");
  expect((await must(["id", "-nG", user])).split(/\s/)).toContain("isolate");
});
