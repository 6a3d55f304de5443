/**
 * `npm run test:network`: the lines of README and docs/ that need a Debian mirror, podman, or a checkout of this project. Not
 * in `npm test`, which must work where there is no mirror.
 */
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { debianTar } from "../support/debian-root.ts";
import { type Reader, runBlock } from "../support/document-runner.ts";
import { installMake, makeReader } from "../support/document-world.ts";
import { blocksIn } from "../support/documents.ts";
import { withTun } from "../support/host-network.ts";
import { must, root } from "../support/process.ts";
import { projectRoot } from "../support/project.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
let reader: Reader;

beforeAll(async () => {
  world = await createWorld();
  await installMake(world);
  reader = { ...(await makeReader(world)), wrap: withTun, patience: 1_800_000 };
}, 1_800_000);
afterAll(() => world?.close(), 300_000);

const creates = /template create (\S+) --debian/;

describe("as its reader types it", () => {
  test.each(blocksIn("network"))(
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

test.each(blocksIn("podman"))(
  "with a container of podman: %s",
  async (_at, block) => {
    const directory = join(world.directory, "podman");
    mkdirSync(directory);
    const configuration = join(directory, "storage.conf");
    const places = `graphroot = "${join(directory, "graph")}"\nrunroot = "${join(directory, "run")}"\n`;
    writeFileSync(configuration, `[storage]\ndriver = "vfs"\n${places}`);
    const env = { ...reader.env, CONTAINERS_STORAGE_CONF: configuration };
    const asRoot = { as: root, env, patience: 300_000 };
    await must(["podman", "import", "--quiet", await debianTar(), "image"], asRoot);
    await must(["podman", "create", "--name", "NAME", "image", "true"], asRoot);
    expect(await runBlock(block, "podman", { ...reader, env })).toEqual([]);
    expect(await world.isolate(["-z", "image", "cat", "/etc/hostname"])).toMatchObject({ code: 0 });
  },
  600_000,
);

/** Directories of this machine that the lines change are private to them. */
async function privateMachine(directory: string): Promise<string[]> {
  const [etc, state] = [join(directory, "etc"), join(directory, "state")];
  await must(["cp", "-a", "/etc", etc]);
  mkdirSync(state);
  const layers = "lowerdir=/var/lib,upperdir=/run/upper,workdir=/run/work";
  const script = [
    `mount --bind ${etc} /etc`,
    "mount -t tmpfs none /run",
    "mkdir /run/upper /run/work",
    `mount -t overlay -o ${layers} none /var/lib`,
    `mkdir -p /var/lib/isolate && mount --bind ${state} /var/lib/isolate`,
    'exec "$@"',
  ].join(" && ");
  // The daemon starts only in the mount namespace of process 1.
  return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"];
}

describe("in a checkout", () => {
  let checkout: Reader;

  beforeAll(async () => {
    const directory = join(world.directory, "machine");
    const cwd = join(directory, "isolate");
    mkdirSync(directory);
    await must(["git", "clone", "--quiet", projectRoot, cwd]);
    cpSync(join(projectRoot, "node_modules"), join(cwd, "node_modules"), { recursive: true, verbatimSymlinks: true });
    const env = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/root", LC_ALL: "C.UTF-8" };
    checkout = { user: root, cwd, env, wrap: await privateMachine(directory), patience: 1_800_000 };
  }, 600_000);

  test.each(blocksIn("checkout"))(
    "%s",
    async (_at, block) => expect(await runBlock(block, "checkout", checkout)).toEqual([]),
    3_600_000,
  );

  test("the package is where the next line expects it", () => {
    expect(readdirSync(join(checkout.cwd, "dist")).filter((name) => /^isolate_.*\.deb$/.test(name))).toHaveLength(1);
  });
});
