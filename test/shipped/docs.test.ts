/** Runs every command line of README and docs/ that needs only isolate, a template and a project. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Reader, runBlock } from "../support/document-runner.ts";
import { installMake, makeReader } from "../support/document-world.ts";
import { type Block, blocksIn } from "../support/documents.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
let reader: Reader;

beforeAll(async () => {
  world = await createWorld();
  await installMake(world);
  reader = await makeReader(world);
}, 1_800_000);
afterAll(() => world?.close(), 300_000);

const blocks = blocksIn("here");

test("finds the command lines", () => expect(blocks.length).toBeGreaterThan(15));

/** The installed daemon's socket. */
function onOwnSocket({ at, lines }: Block): Block {
  const replaced = (text: string): string => text.replaceAll("/run/isolate/isolated.sock", world.socket);
  return { at, lines: lines.map((line) => ({ ...line, text: replaced(line.text) })) };
}

describe("as readers type it", () => {
  test.each(blocks)("%s", async (_at, block) => {
    expect(await runBlock(onOwnSocket(block), "here", reader)).toEqual([]);
  });
});
