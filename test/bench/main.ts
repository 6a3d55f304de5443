/**
 * `npm run bench`: the figures for which the project has goals, in one run, on one file system. Compared commands take
 * turns, so that a machine whose speed drifts slows both. README.md lists the options.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { debianTar } from "../support/debian-root.ts";
import { finished, must, root } from "../support/process.ts";
import { projectRoot } from "../support/project.ts";
import { alice, createWorld, type World } from "../support/world.ts";
import { type Figure, type Findings, markdown, median } from "./figures.ts";
import { growth, memory } from "./growth.ts";
import { hostile } from "./hostile.ts";
import { idle } from "./idle.ts";
import { listings } from "./listings.ts";
import { cleanAfterPeers, comparePeers } from "./peers.ts";
import { createPlace, type Place, worldIn } from "./place.ts";
import { ourRun, starts } from "./starts.ts";
import { sustained } from "./sustained.ts";
import { leaseTimes } from "./watch.ts";

const { values: wanted } = parseArgs({
  options: {
    setup: { type: "boolean", default: false },
    short: { type: "boolean", default: false },
    sustained: { type: "boolean", default: false },
    growth: { type: "boolean", default: false },
    hostile: { type: "boolean", default: false },
    all: { type: "boolean", default: false },
    json: { type: "string", default: join(projectRoot, "dist/bench.json") },
  },
});

const rounds = Number(process.env.ISOLATE_BENCH_ROUNDS ?? (wanted.short ? 40 : 100));
const begun = Date.now();
const say = (line: string): void =>
  void process.stderr.write(`${String(Math.round((Date.now() - begun) / 1000)).padStart(4)} s  ${line}\n`);

/** The load: runnable processes, averaged over the last minute. */
const quiet = 0.3;

async function main(): Promise<void> {
  const [load = 0] = loadavg();
  if (load > quiet)
    say(`this machine is not idle, its load is ${load.toFixed(1)}: read no millisecond of what follows`);
  say("making a file system, unpacking a plain root for the bare bwrap line, and starting a daemon of its own");
  const place = await createPlace(cleanAfterPeers);
  const plain = join(place.disk, "root");
  const parts: Findings[] = [];
  const add = (figures: readonly Figure[]): void => void parts.push({ figures, absent: [] });
  await must(["mkdir", plain]);
  await must(["tar", "-C", plain, "-xf", await debianTar()]);
  await must(["chown", "-R", `${alice.uid}:${alice.gid}`, plain]);
  if (wanted.all || !(wanted.sustained || wanted.growth || wanted.hostile)) parts.push(await usual(place, plain));
  if (wanted.all || wanted.sustained) add(await sustained({ place, runs: 2000, each: 640 }, say));
  if (wanted.all || wanted.growth) {
    const sizes = [10, 100, 1000, 5000];
    add(await growth({ place, directory: plain, sizes, rounds: 300, leases: 10_000, say }));
  }
  if (wanted.all || wanted.hostile) add(await hostile({ place, rounds: 3 * rounds, say }));
  const all = { figures: parts.flatMap(({ figures }) => figures), absent: parts.flatMap(({ absent }) => absent) };
  const here = `${machine()}; load at the start ${load.toFixed(1)}`;
  writeFileSync(wanted.json, `${JSON.stringify({ machine: here, ...all }, null, 2)}\n`);
  process.stdout.write(`${here}\n\n${markdown(all)}\n`);
  say(`the same as JSON: ${wanted.json}`);
}

/** The figures that every bench measures; the short form omits those that need many clones. */
async function usual(place: Place, plain: string): Promise<Findings> {
  const world = await createWorld({ size: 20, ...worldIn(place) });
  const figures: Figure[] = [];
  try {
    figures.push(...(await starts(world, plain, rounds, say)));
    const peerRounds = Math.ceil(rounds / 5);
    const peers = await comparePeers(ourRun(world), { root: plain, directory: place.disk, rounds: peerRounds, say });
    figures.push(...peers.figures, await reclaim(world), lease(world), ...(await idle(world)));
    if (wanted.short) return { figures, absent: peers.absent };
    const { code, stderr } = await world.isolate(["-r", world.template, "100"], { as: root, patience: 300_000 });
    if (code !== 0) throw new Error(stderr);
    figures.push(...memory(world, 100), ...(await listings(place, say)));
    return { figures, absent: peers.absent };
  } finally {
    await world.close();
  }
}

/** The time from the end of the sandbox's last process until the pool is full again. */
async function reclaim(world: World): Promise<Figure> {
  const times: number[] = [];
  for (let round = 0; round < 10; round++) {
    await world.settled();
    const child = world.begin(["-z", world.template, "sh", "-c", "echo up; exec sleep 1000"]);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    child.kill("SIGKILL");
    await finished(child);
    const ended = performance.now();
    await world.settled();
    times.push(performance.now() - ended);
  }
  return {
    what: "clone reclaimed and pool full again after kill -9",
    value: median(times) / 1000,
    unit: "s",
    goal: { atMost: 1 },
    command: "isolate pool, asked again and again",
  };
}

function lease(world: World): Figure {
  const times = leaseTimes(world);
  return {
    what: `a lease, server side, p50 of ${times.length}`,
    value: median(times),
    unit: "ms",
    goal: { atMost: 0.7 },
    command: 'log_level = "debug"',
  };
}

function machine(): string {
  const told = (program: string, ...args: string[]): string => execFileSync(program, args, { encoding: "utf8" }).trim();
  return [
    told("uname", "-srm"),
    `${told("nproc")} processors`,
    told("bwrap", "--version"),
    `node ${process.version}`,
  ].join(", ");
}

if (wanted.setup) {
  execFileSync(process.execPath, [join(projectRoot, "tools/prepare.mjs"), "peers"], { stdio: "inherit" });
} else await main();
