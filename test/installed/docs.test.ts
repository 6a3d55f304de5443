/** The lines of README and docs/ that need the installed package and its service. */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Reader, runBlock } from "../support/document-runner.ts";
import { blocksIn } from "../support/documents.ts";
import { must, run } from "../support/process.ts";
import { projectRoot } from "../support/project.ts";
import { user } from "./host.ts";

let reader: Reader;
/** The checkout in which the reader has built the package. */
const checkout = `/home/${user}/isolate`;

beforeAll(async () => {
  mkdirSync(checkout);
  symlinkSync(join(projectRoot, "dist"), join(checkout, "dist"));
  const id = async (what: string): Promise<number> => Number(await must(["id", what, user]));
  const groups = (await must(["id", "-G", user])).trim().split(" ").map(Number);
  reader = {
    user: { uid: await id("-u"), gid: await id("-g"), groups },
    cwd: checkout,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8", HOME: `/home/${user}`, USER: user },
  };
});

/** Restores the machine for the tests after this file. */
afterAll(async () => {
  rmSync(checkout, { recursive: true, force: true });
  await run(["systemctl", "disable", "--now", "isolate_regenerate@debian.path"]);
  await run(["systemctl", "disable", "isolated.service"]);
  await run(["loginctl", "disable-linger", user]);
});

describe("as readers type it", () => {
  test.each(blocksIn("installed"))("%s", async (_at, block) => {
    expect(await runBlock(block, "installed", reader)).toEqual([]);
  });
});
