/**
 * One member runs every attack of `support/attacks.ts` while others work: the time of their runs, whether root is
 * served, and the daemon's memory.
 */
import { join } from "node:path";
import Database from "better-sqlite3";
import { attacks, startAttack } from "../support/attacks.ts";
import { root } from "../support/process.ts";
import { bob, createWorld, group, type World } from "../support/world.ts";
import { type Figure, median, quantile } from "./figures.ts";
import { type Place, worldIn } from "./place.ts";
import { ourRun } from "./starts.ts";
import { timeRuns } from "./timing.ts";
import { leaseTimes, memoryOf } from "./watch.ts";

export interface HostileOptions {
  readonly place: Place;
  readonly rounds: number;
  readonly say: (line: string) => void;
}

/** The attacker's entries in the log. */
const entries = 10_000;
const rootAsks = 10;
const goals = { ratio: 3, megabytes: 50, lease: 100 };

interface Measured {
  readonly runs: readonly number[];
  /** Milliseconds, server side. */
  readonly leases: readonly number[];
}

export async function hostile({ place, rounds, say }: HostileOptions): Promise<Figure[]> {
  const world = await createWorld({ size: 20, ...worldIn(place) });
  const target = { socket: world.socket, template: world.template, group };
  try {
    fillLog(join(world.state, "leases.db"), bob.uid);
    say(`${rounds} runs while nobody does anything else, before each attack`);
    const idle: number[] = [];
    await measure(world, rounds);
    const before = memoryOf(world.daemonPid()).resident;
    let most = before;
    const results: { readonly name: string; readonly beside: Measured; readonly served: number }[] = [];
    for (const attack of attacks) {
      say(`${rounds} runs beside: ${attack.name}`);
      idle.push(...(await measure(world, rounds)).runs);
      const running = await startAttack(attack, target, bob);
      let served = 0;
      const watch = setInterval(() => {
        most = Math.max(most, memoryOf(world.daemonPid()).resident);
      }, 100);
      let beside: Measured;
      try {
        beside = await measure(world, rounds);
        for (let count = 0; count < rootAsks; count++) {
          const { code } = await world.isolate(["pool"], { as: root });
          if (code === 0) served++;
        }
      } finally {
        clearInterval(watch);
        await running.end();
      }
      results.push({ name: attack.name, beside, served });
      await world.settled();
    }
    // Of all idle runs: the slowest of a few differs threefold from one moment to the next.
    const idleP99 = quantile(idle, 0.99);
    const growth = {
      what: `the most that the daemon's memory grew (from ${before.toFixed(1)} MB)`,
      value: most - before,
      unit: "MB" as const,
      goal: { atMost: goals.megabytes },
      command: "cat /proc/PID/smaps_rollup, ten times a second",
    };
    return [
      { what: "a run, p50, idle", value: median(idle), unit: "ms", command: "isolate -z T true" },
      { what: `a run, p99 of ${idle.length}, idle`, value: idleP99, unit: "ms", command: "isolate -z T true" },
      ...results.flatMap(({ name, beside, served }) => figuresOf(name, idleP99, beside, served)),
      growth,
    ];
  } finally {
    await world.close();
  }
}

function figuresOf(name: string, idleP99: number, { runs, leases }: Measured, served: number): Figure[] {
  const p99 = quantile(runs, 0.99);
  const command = "isolate -z T true, by another member";
  return [
    {
      what: `${name}: a run, p99 of ${runs.length}, against the idle one (${p99.toFixed(1)} ms)`,
      value: p99 / idleP99,
      unit: "times",
      goal: { atMost: goals.ratio },
      command,
    },
    {
      what: "the longest lease of these runs, server side",
      value: Math.max(...leases),
      unit: "ms",
      goal: { atMost: goals.lease },
      command,
    },
    {
      what: `root served, of ${rootAsks}`,
      value: served,
      unit: "",
      goal: { atLeast: rootAsks },
      command: "isolate pool",
    },
  ];
}

async function measure(world: World, rounds: number): Promise<Measured> {
  const [runs = []] = await timeRuns([ourRun(world)], rounds);
  return { runs, leases: leaseTimes(world, 0, ourRun(world).as?.uid).slice(-rounds) };
}

/** Fills the log as that many short leases would. */
function fillLog(file: string, uid: number): void {
  const database = new Database(file);
  try {
    const put = database.prepare(
      `INSERT INTO entries (lease, kind, template, snapshot, uid, command, since, until, how)
       VALUES (?, 'run', 'debian', 'debian@1', ?, 'true', ?, ?, 'ended')`,
    );
    const now = Date.now();
    database.transaction(() => {
      for (let count = 0; count < entries; count++) put.run(`old_${count}`, uid, now - count, now - count);
    })();
  } finally {
    database.close();
  }
}
