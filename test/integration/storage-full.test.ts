/** No space left: one sentence, nothing half done, and everything goes on by itself once there is space. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { debianTar } from "../support/debian-root.ts";
import { eventually, must, root, run } from "../support/process.ts";
import { createWorld, type World } from "../support/world.ts";

const pool = process.env.ISOLATE_TEST_ZPOOL;
let world: World;

beforeAll(async () => {
  world = await createWorld({ size: 2, storageSize: "500M" });
}, 1_200_000);
afterAll(() => world.close(), 300_000);

const asRoot = (...args: string[]) => world.isolate(args, { as: root, patience: 900_000 });
const templates = async () => JSON.parse((await asRoot("template", "ls", "--json")).stdout) as { template: string }[];
