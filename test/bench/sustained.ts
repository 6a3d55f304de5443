/** Many runs, in sequence and in parallel, from a pool of twenty. */
import { createWorld, type World } from "../support/world.ts";
import { type Figure, median, quantile } from "./figures.ts";
import { type Load, runTime, throughput } from "./model.ts";
import { type Place, worldIn } from "./place.ts";
import { ourRun } from "./starts.ts";
import { crowd } from "./timing.ts";
import { busyTime, leaseTimes, processorTime } from "./watch.ts";

const size = 20;
const clients = [1, 4, 16, 64];
/** The client counts that predict the others. */
const known = { alone: 1, crowded: 4 };
const secondsInAnHour = 3600;

interface Burst {
  readonly parallel: number;
  readonly runs: number;
  readonly failed: number;
  readonly perSecond: number;
  readonly times: readonly number[];
  /** Times of the daemon's answers. */
  readonly waits: readonly number[];
  /** Milliseconds of processor time per run: of the whole machine, and of the daemon. */
  readonly machine: number;
  readonly daemon: number;
}

/** The full form of 2,000 runs, and shorter forms with 1, 4, 16 and 64 clients. */
export async function sustained(
  { place, runs, each }: { place: Place; runs: number; each: number },
  say: (line: string) => void,
): Promise<Figure[]> {
  // The limit also counts clones that are not yet gone: 64 parallel clients would reach the default of 64.
  const world = await createWorld({ size, config: "[limits]\nleases_per_user = 500", ...worldIn(place) });
  try {
    const whole = await burst(world, runs, 4, say);
    const bursts: Burst[] = [];
    for (const parallel of clients) bursts.push(await burst(world, each, parallel, say));
    return [...figuresOf(whole), ...bursts.flatMap(growthOf), ...predictions(bursts), ...limits(whole)];
  } finally {
    await world.close();
  }
}

async function burst(world: World, runs: number, parallel: number, say: (line: string) => void): Promise<Burst> {
  await world.settled();
  say(`${runs} runs by ${parallel} clients at a time`);
  const since = world.log().length;
  const before = { machine: busyTime(), daemon: processorTime(world.daemonPid()) };
  const { failed, milliseconds, seconds } = await crowd(ourRun(world), runs, parallel);
  await world.settled();
  return {
    parallel,
    runs,
    failed,
    perSecond: runs / seconds,
    times: milliseconds,
    waits: leaseTimes(world, since),
    machine: ((busyTime() - before.machine) * 1000) / runs,
    daemon: ((processorTime(world.daemonPid()) - before.daemon) * 1000) / runs,
  };
}

function figuresOf({ runs, parallel, failed, perSecond, waits, machine, daemon }: Burst): Figure[] {
  const command = `isolate -z T true, ${runs} times by ${parallel} clients, pool of ${size}`;
  return [
    { what: "sustained runs", value: perSecond, unit: "per second", goal: { atLeast: 100 }, command },
    { what: "of them failed", value: failed, unit: "", goal: { atMost: 0 }, command },
    { what: "waiting for a clone, p50 (server side)", value: median(waits), unit: "ms", command },
    { what: "waiting for a clone, p99", value: quantile(waits, 0.99), unit: "ms", goal: { atMost: 50 }, command },
    { what: "processor time of a run, of all programs", value: machine, unit: "ms", command: "/proc/stat" },
    { what: "of which the daemon, rm(1) included", value: daemon, unit: "ms", command: "/proc/PID/stat" },
  ];
}

function growthOf({ runs, parallel, failed, perSecond, times, waits }: Burst): Figure[] {
  const command = `isolate -z T true, ${runs} times by ${parallel}`;
  return [
    { what: `runs, ${parallel} at a time (${failed} failed)`, value: perSecond, unit: "per second", command },
    { what: `a run, ${parallel} at a time, p50`, value: median(times), unit: "ms", command },
    { what: `waiting for a clone, ${parallel} at a time, p50`, value: median(waits), unit: "ms", command },
    { what: `waiting for a clone, ${parallel} at a time, p99`, value: quantile(waits, 0.99), unit: "ms", command },
  ];
}

/** Predictions of the model, from one client and from four. */
function predictions(bursts: readonly Burst[]): Figure[] {
  const of = (parallel: number): Burst | undefined => bursts.find((one) => one.parallel === parallel);
  const [one, four] = [of(known.alone), of(known.crowded)];
  if (!one || !four) return [];
  const load: Load = { alone: median(one.times), each: 1000 / four.perSecond };
  const command = `max(${load.alone.toFixed(1)}, clients * ${load.each.toFixed(1)}) ms`;
  return bursts
    .filter(({ parallel }) => parallel > known.crowded)
    .flatMap(({ parallel }): Figure[] => [
      {
        what: `runs, ${parallel} at a time, predicted`,
        value: throughput(load, parallel),
        unit: "per second",
        command,
      },
      { what: `a run, ${parallel} at a time, predicted`, value: runTime(load, parallel), unit: "ms", command },
    ]);
}

/** How many this machine could do in an hour if nothing else took time. */
function limits({ perSecond, daemon }: Burst): Figure[] {
  return [
    {
      what: "runs at which these processors have no rest",
      value: perSecond * secondsInAnHour,
      unit: "per hour",
      command: "runs a second * 3600",
    },
    {
      what: "leases at which one processor would be the daemon's",
      value: (secondsInAnHour * 1000) / daemon,
      unit: "per hour",
      command: "3600 s / the daemon's processor time",
    },
  ];
}
