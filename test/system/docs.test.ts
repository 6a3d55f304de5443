/** The lines of README and docs/ that need ZFS, with the names of the real pool, or a systemd for limits and containers. */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Reader, runBlock } from "../support/document-runner.ts";
import { makeReader } from "../support/document-world.ts";
import { type Block, blocksIn, type Place } from "../support/documents.ts";
import { eventually, must, run } from "../support/process.ts";
import { createWorld, group, type World } from "../support/world.ts";

let world: World;
let reader: Reader;
/** The guest's own alice, who has a systemd user manager. */
const manager = { uid: 1001, gid: 1001, groups: [group] };

beforeAll(async () => {
  world = await createWorld();
  reader = await makeReader(world);
  // The dataset that readers already have, with a snapshot.
  await must(["zfs", "snapshot", `${world.template}@reader`]);
  await must(["loginctl", "enable-linger", "alice"]);
  await eventually("alice's manager runs", () => existsSync(`/run/user/${manager.uid}/systemd/private`));
}, 1_800_000);
afterAll(async () => {
  await run(["loginctl", "disable-linger", "alice"]);
  await world?.close();
}, 300_000);

/** The documentation's parent dataset is rpool/isolate; this one has a new name each time. */
function renamed({ at, lines }: Block): Block {
  const parent = world.template.slice(0, world.template.lastIndexOf("/"));
  const here = (text: string): string =>
    text.replaceAll("rpool/isolate", parent).replace(/-z debian(?= )/, `-z ${world.template}`);
  return { at, lines: lines.map((line) => ({ ...line, text: here(line.text) })) };
}

describe.each<[place: Place, more: () => Partial<Reader>]>([
  ["zfs", () => ({})],
  ["limits", () => ({ user: manager })],
  // With the default fifth of an emulated processor, systemd takes a minute to boot.
  ["lxc", () => ({ user: manager, env: { ...reader.env, LXC_CPU_QUOTA: "100" } })],
])("as readers type it: %s", (place, more) => {
  test.each(blocksIn(place))("%s", async (_at, block) => {
    expect(await runBlock(renamed(block), place, { ...reader, ...more() })).toEqual([]);
  });
});
