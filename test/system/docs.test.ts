/** The lines of README and docs/ that need ZFS, with the names of the real pool. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Reader, runBlock } from "../support/document-runner.ts";
import { makeReader } from "../support/document-world.ts";
import { type Block, blocksOf, documents } from "../support/documents.ts";
import { must } from "../support/process.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
let reader: Reader;

beforeAll(async () => {
  world = await createWorld();
  reader = await makeReader(world);
  // The dataset that readers already have, with a snapshot.
  await must(["zfs", "snapshot", `${world.template}@reader`]);
}, 1_800_000);
afterAll(() => world?.close(), 300_000);

const blocks = documents.flatMap(blocksOf).filter(({ lines }) => lines.some(({ place }) => place === "zfs"));

/** The documentation's parent dataset is rpool/isolate; this one has a new name each time. */
function renamed({ at, lines }: Block): Block {
  const parent = world.template.slice(0, world.template.lastIndexOf("/"));
  return { at, lines: lines.map((line) => ({ ...line, text: line.text.replaceAll("rpool/isolate", parent) })) };
}

describe("as readers type it", () => {
  test.each(blocks.map((block) => [block.at, block] as const))("%s", async (_at, block) => {
    expect(await runBlock(renamed(block), "zfs", reader)).toEqual([]);
  });
});
