/** The times of runs and leases and the daemon's memory with many clones, and after many leases. */

import { join } from "node:path";
import Database from "better-sqlite3";
import { eventually, must } from "../support/process.ts";
import { createWorld, type World } from "../support/world.ts";
import { type Figure, median, quantile } from "./figures.ts";
import { fitLine, onLine, type Point } from "./model.ts";
import { type Place, worldIn } from "./place.ts";
import { createPopulation } from "./population.ts";
import { bareLine, ourRun } from "./starts.ts";
import { crowd, timeRuns } from "./timing.ts";
import { leaseTimes, memoryOf } from "./watch.ts";

export interface GrowthOptions {
  readonly place: Place;
  /** An unpacked root filesystem, for the bare line. */
  readonly directory: string;
  /** Ascending. */
  readonly sizes: readonly number[];
  readonly rounds: number;
  readonly leases: number;
  readonly say: (line: string) => void;
}

interface Stage {
  readonly size: number;
  readonly run: number;
  readonly bare: number;
  readonly leases: readonly number[];
}

/** The daemon is restarted with this many clones in its store. */
const restartAt = 1000;
/** Stages up to this size predict the larger ones. */
const fitUpTo = 1000;
const patience = 1_800_000;

export async function growth(options: GrowthOptions): Promise<Figure[]> {
  const config = "[limits]\nleases_per_user = 500\n[pool]\nrefill_concurrency = 16";
  const world = await createWorld({ size: options.sizes[0] ?? 10, config, ...worldIn(options.place) });
  const population = createPopulation(world, options.say);
  const stages: Stage[] = [];
  const figures: Figure[] = [];
  try {
    for (const size of options.sizes) {
      await population.resize(size);
      stages.push(await measure(world, size, options));
      figures.push(...memory(world, size));
      if (size === restartAt) figures.push(...(await restart(world, size, options.say)));
    }
    await population.resize(20);
    figures.push(...(await leak(world, options)));
    return [...stages.flatMap(figuresOf), ...predictions(stages), ...figures];
  } finally {
    await population.resize(0).catch(() => undefined);
    await world.close();
  }
}

async function measure(world: World, size: number, { directory, rounds }: GrowthOptions): Promise<Stage> {
  const since = world.log().length;
  const [runs = [], bare = []] = await timeRuns([ourRun(world), bareLine(directory)], rounds);
  return { size, run: median(runs), bare: median(bare), leases: leaseTimes(world, since) };
}

function figuresOf({ size, run, bare, leases }: Stage): Figure[] {
  const command = `isolate -z T true, beside ${size} ready clones`;
  const lease = `a lease, server side, ${size} ready clones (${leases.length} of them)`;
  return [
    { what: `a run, ${size} ready clones`, value: run, unit: "ms", command },
    { what: `a run against the bare line, ${size} ready clones`, value: run / bare, unit: "times", command },
    { what: `${lease}, p50`, value: median(leases), unit: "ms", goal: { atMost: 0.7 }, command },
    { what: `${lease}, p99`, value: quantile(leases, 0.99), unit: "ms", goal: { atMost: 3 }, command },
  ];
}

/** Predicts with a straight line through the smaller stages. */
function predictions(stages: readonly Stage[]): Figure[] {
  const small = stages.filter(({ size }) => size <= fitUpTo);
  if (small.length < 2) return [];
  const predict = (what: string, value: (stage: Stage) => number): Figure[] => {
    const line = fitLine(small.map((stage): Point => ({ at: stage.size, value: value(stage) })));
    const command = `${line.start.toFixed(2)} ms + ${(line.slope * 1000).toFixed(2)} us * clones`;
    return stages
      .filter(({ size }) => size > fitUpTo)
      .map(({ size }) => ({
        what: `${what}, ${size} ready clones, predicted`,
        value: onLine(line, size),
        unit: "ms",
        command,
      }));
  };
  return [...predict("a run", ({ run }) => run), ...predict("a lease, p50", ({ leases }) => median(leases))];
}

export function memory(world: World, size: number): Figure[] {
  const { resident, proportional } = memoryOf(world.daemonPid());
  const command = `cat /proc/PID/smaps_rollup`;
  return [
    {
      what: `the daemon's resident memory, ${size} ready clones`,
      value: resident,
      unit: "MB",
      goal: { atMost: 120 },
      command,
    },
    { what: `the daemon's share of memory (PSS), ${size} ready clones`, value: proportional, unit: "MB", command },
  ];
}

/** Times from the process's start. The storage is reconciled when a clone whose row was deleted is found. */
async function restart(world: World, size: number, say: (line: string) => void): Promise<Figure[]> {
  say(`a new daemon, with ${size} clones in the store`);
  await world.endDaemon("SIGTERM");
  const lost = loseRow(join(world.state, "isolated.db"));
  const since = world.log().length;
  const begun = Date.now();
  await world.startDaemon();
  const timeOf = (message: string): number | undefined => {
    const line = world
      .log()
      .slice(since)
      .split("\n")
      .find((one) => one.includes(message));
    return line === undefined ? undefined : (JSON.parse(line) as { time: number }).time;
  };
  const reconciled = await eventually("the storage is compared", () => timeOf(`"clone":"${lost}"`) ?? null, patience);
  const served = timeOf('"msg":"serving"') ?? Number.NaN;
  const command = "systemctl restart isolated";
  return [
    {
      what: `a daemon's start until it serves, ${size} clones in the store`,
      value: (served - begun) / 1000,
      unit: "s",
      goal: { atMost: 1 },
      command,
    },
    {
      what: "and until the storage is reconciled, in the background",
      value: (reconciled - begun) / 1000,
      unit: "s",
      command,
    },
  ];
}

/** Deletes a clone's row and returns the clone's id. */
function loseRow(file: string): string {
  const database = new Database(file);
  try {
    const row = database.prepare("SELECT id FROM clones WHERE state = 'ready' LIMIT 1").get() as { id: string };
    database.prepare("DELETE FROM clones WHERE id = ?").run(row.id);
    return row.id;
  } finally {
    database.close();
  }
}

/** Leases in which a new daemon compiles its own code and grows its heap to its working size. */
const warmUp = 5000;

/** The daemon's memory after that many leases, relative to its memory after the warm-up, and the warm-up's growth. */
async function leak(world: World, { leases, say }: GrowthOptions): Promise<Figure[]> {
  const memoryAfter = async (runs: number): Promise<number> => {
    say(`${runs} runs by 4 clients, for the daemon's memory`);
    const { failed } = await crowd(ourRun(world), runs, 4);
    if (failed > 0) throw new Error(`${failed} of ${runs} runs failed`);
    return calm(world);
  };
  const first = await memoryAfter(500);
  const before = await memoryAfter(warmUp);
  const after = await memoryAfter(leases);
  const growth = (what: string, from: number, to: number) => ({
    what: `growth of the daemon's memory ${what} (from ${from.toFixed(1)} to ${to.toFixed(1)} MB)`,
    value: (to / from - 1) * 100,
    unit: "%" as const,
  });
  return [
    { ...growth(`over its first ${warmUp} leases`, first, before), command: `isolate -z T true, ${warmUp} times` },
    {
      ...growth(`over the next ${leases} leases`, before, after),
      goal: { atMost: 5 },
      command: `isolate -z T true, ${leases} times`,
    },
  ];
}

/** Resident megabytes while it is idle: the minimum over a few seconds, since garbage comes and goes. */
async function calm(world: World): Promise<number> {
  await world.settled();
  let least = Number.POSITIVE_INFINITY;
  for (let second = 0; second < 5; second++) {
    await must(["sleep", "1"]);
    least = Math.min(least, memoryOf(world.daemonPid()).resident);
  }
  return least;
}
