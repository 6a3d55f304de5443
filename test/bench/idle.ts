/** The memory and processes of an idle sandbox, apart from its command. */
import { eventually, finished } from "../support/process.ts";
import type { World } from "../support/world.ts";
import type { Figure } from "./figures.ts";
import { descendants, memoryOf, nameOf } from "./watch.ts";

export async function idle(world: World): Promise<Figure[]> {
  const child = world.begin(["-z", world.template, "sleep", "100000"]);
  try {
    const pid = child.pid ?? 0;
    const below = await eventually("the command runs", () => {
      const all = descendants(pid);
      return all.some((one) => nameOf(one) === "sleep") ? all : null;
    });
    const besides = [pid, ...below].filter((one) => nameOf(one) !== "sleep");
    const each = besides.map((one) => ({ name: nameOf(one), memory: memoryOf(one).proportional }));
    return [
      {
        what: "processes beside the command in a sandbox that waits",
        value: besides.length,
        unit: "",
        command: "isolate -z T sleep 100000",
      },
      {
        what: `their memory (PSS): ${each.map(({ name, memory }) => `${name} ${memory.toFixed(2)}`).join(", ")}`,
        value: each.reduce((sum, { memory }) => sum + memory, 0),
        unit: "MB",
        goal: { atMost: 1 },
        command: "grep Pss /proc/PID/smaps_rollup",
      },
    ];
  } finally {
    child.kill("SIGKILL");
    await finished(child);
    await world.settled();
  }
}
