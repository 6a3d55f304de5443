/** The time of listings with many entries. */
import { program } from "../support/project.ts";
import { leaseRequest, openRaw, type Raw } from "../support/raw.ts";
import { alice, createWorld } from "../support/world.ts";
import { type Figure, median } from "./figures.ts";
import { type Place, worldIn } from "./place.ts";
import { timeRuns } from "./timing.ts";

const clones = 1000;
const batch = 100;
const rounds = 30;
/** Milliseconds. */
const goal = 100;

/** Measures on a separate daemon with that many leased clones, in addition to the ready ones. */
export async function listings(place: Place, say: (line: string) => void): Promise<Figure[]> {
  const world = await createWorld({
    size: 20,
    config: `[limits]\nleases_per_user = ${clones + 100}\n[pool]\nrefill_concurrency = 16`,
    ...worldIn(place),
  });
  try {
    say(`leasing ${clones} clones`);
    const held: Raw[] = [];
    try {
      // In batches: the kernel queues only some hundred connections.
      for (let count = 0; count < clones; count += batch) {
        const batchOf = openRaw(world.socket, alice, Array(batch).fill([leaseRequest(world.template, "&wait=600")]));
        held.push(batchOf);
        await batchOf.until("all are leased", ({ text }) => text.includes('"view"'));
      }
      const commands = [["ps"], ["pool"], ["ps", "--json"]];
      const words = commands.map((command) => [program("isolate"), ...command]);
      say(`${rounds} rounds of: ${commands.map((command) => command.join(" ")).join(", ")}`);
      const env = { ISOLATE_SOCKET: world.socket };
      const times = await timeRuns(
        words.map((one) => ({ words: one, as: alice, env })),
        rounds,
      );
      return commands.map((command, index) => ({
        what: `isolate ${command.join(" ")}, ${clones} clones leased`,
        value: median(times[index] ?? []),
        unit: "ms",
        goal: { atMost: goal },
        command: `isolate ${command.join(" ")}`,
      }));
    } finally {
      await Promise.all(held.map((one) => one.close()));
      say("waiting for the clones to go");
      await world.settled();
    }
  } finally {
    await world.close();
  }
}
