/**
 * `npm run test:network`: the lines of README and docs/ that need a Debian mirror. Not in `npm test`, which must work where
 * there is none.
 */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Reader, runBlock } from "../support/document-runner.ts";
import { installMake, makeReader } from "../support/document-world.ts";
import { blocksOf, documents } from "../support/documents.ts";
import { root } from "../support/process.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
let reader: Reader;

/** Where this machine keeps /dev/net/tun from its users, they have one as udev makes it. */
const tun = "mount -t tmpfs -o mode=755 none /dev/net && mknod -m 666 /dev/net/tun c 10 200";

beforeAll(async () => {
  world = await createWorld();
  await installMake(world);
  const wrap = ["unshare", "-m", "--propagation", "slave", "sh", "-c", `${tun} && exec "$@"`, "sh"];
  reader = { ...(await makeReader(world)), wrap, patience: 1_800_000 };
}, 1_800_000);
afterAll(() => world?.close(), 300_000);

const blocks = documents.flatMap(blocksOf).filter(({ lines }) => lines.some(({ place }) => place === "network"));
const creates = /template create (\S+) --debian/;

describe("as its reader types it", () => {
  test.each(blocks.map((block) => [block.at, block] as const))(
    "%s",
    async (_at, block) => {
      // Each page makes its template; the one of the page before is in its way, as it would be in its reader's.
      for (const { text } of block.lines) {
        const name = creates.exec(text)?.[1];
        if (name !== undefined) await world.isolate(["template", "rm", name], { as: root, patience: 120_000 });
      }
      expect(await runBlock(block, "network", reader)).toEqual([]);
    },
    3_600_000,
  );
});
