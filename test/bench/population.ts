/** Any number of ready clones: a pool holds at most a hundred, so the rest belong to other, almost empty templates. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { eventually, must, type Outcome, root } from "../support/process.ts";
import type { World } from "../support/world.ts";

const largestPool = 100;
const patience = 1_800_000;

export function createPopulation(world: World, say: (line: string) => void) {
  const others: string[] = [];

  async function asRoot(...words: string[]): Promise<Outcome> {
    const outcome = await world.isolate(words, { as: root, patience });
    if (outcome.code !== 0) throw new Error(`isolate ${words.join(" ")}: ${outcome.stderr}`);
    return outcome;
  }

  async function addTemplate(): Promise<void> {
    const directory = join(world.directory, "empty");
    for (const name of ["bin", "usr", "etc", "tmp"]) mkdirSync(join(directory, name), { recursive: true });
    const archive = `${directory}.tar`;
    await must(["tar", "-C", directory, "-cf", archive, "."]);
    const name = `empty${others.length}`;
    await asRoot("template", "create", name, "--tar", archive);
    others.push(name);
    rmSync(directory, { recursive: true });
    rmSync(archive);
  }

  async function removeTemplate(name: string): Promise<void> {
    await asRoot("-r", name, "0");
    await eventually(
      `no clones of ${name}`,
      async () => (await world.pools()).every((pool) => pool.template !== name || isEmpty(pool)),
      patience,
    );
    await asRoot("template", "rm", name);
    others.splice(others.indexOf(name), 1);
  }

  return {
    /** Resolves once the clones exist, or are gone, and the daemon is idle. */
    async resize(count: number): Promise<void> {
      say(`${count} ready clones`);
      const templates = Math.max(Math.ceil(count / largestPool), 1);
      while (others.length > templates - 1) await removeTemplate(others[others.length - 1] ?? "");
      while (others.length < templates - 1) await addTemplate();
      for (const [index, template] of [world.template, ...others].entries()) {
        await asRoot("-r", template, String(Math.min(largestPool, count - index * largestPool)));
      }
      await eventually(
        `${count} ready clones`,
        async () => {
          const pools = await world.pools();
          const idle = pools.every(({ leased, retired, creating }) => leased + retired + creating === 0);
          return idle && pools.reduce((sum, { ready }) => sum + ready, 0) === count;
        },
        patience,
      );
    },
  };
}

const isEmpty = (pool: { readonly ready: number; readonly retired: number; readonly creating: number }): boolean =>
  pool.ready + pool.retired + pool.creating === 0;
