/**
 * `npm run bench`: the figures that the project holds itself to, in one run, on the storage of this machine. Commands
 * that are compared take turns, so that a machine whose speed drifts slows both. `--json` prints numbers only.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianTar } from "../support/debian-root.ts";
import { must, root } from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, createWorld, type World } from "../support/world.ts";
import { type Figure, markdown, median } from "./figures.ts";
import { listings } from "./listings.ts";
import { timeRuns } from "./timing.ts";

const rounds = Number(process.env.ISOLATE_BENCH_ROUNDS ?? 100);
/** As /run is on an ordinary host. */
const inMemory = "/dev/shm";
const json = process.argv.includes("--json");
const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(): Promise<void> {
  const bare = mkdtempSync(join(tmpdir(), "isolate-bench-"));
  say("unpacking a plain root for the bare bwrap line, and starting a daemon of its own");
  await must(["tar", "-C", bare, "-xf", await debianTar()]);
  await must(["chown", "-R", `${alice.uid}:${alice.gid}`, bare]);
  const world = await createWorld({ size: 20, ...(existsSync(inMemory) ? { runtimeParent: inMemory } : {}) });
  try {
    const figures = [
      ...(await starts(world, bare)),
      await reclaim(world),
      await leaseTime(world),
      await memory(world),
      ...(await listings(inMemory, say)),
    ];
    process.stdout.write(json ? `${JSON.stringify(figures, null, 2)}\n` : `${markdown(figures)}\n`);
  } finally {
    await world.close();
    rmSync(bare, { recursive: true, force: true });
  }
}

/** The same namespaces and binds as the client asks for, of a directory that exists already. */
function bareLine(directory: string): string[] {
  const namespaces = [
    "--unshare-user",
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--unshare-net",
  ];
  const tmpfs = ["/tmp", "/home", "/dev/shm"].flatMap((at) => ["--tmpfs", at]);
  const mounts = ["--bind", directory, "/", "--proc", "/proc", "--dev", "/dev", ...tmpfs];
  return ["bwrap", ...namespaces, ...mounts, "--chdir", "/", "true"];
}

/**
 * The page cache keeps a file that was read in one go in large pieces, and what was read fault by fault in single pages,
 * which map 2 ms slower. isolated.service reads the client at boot; so does this, after the cache has forgotten it.
 */
async function readInOneGo(file: string): Promise<void> {
  await must(["dd", `if=${file}`, "iflag=nocache", "count=0", "status=none"]);
  await must(["dd", `if=${file}`, "of=/dev/null", "bs=1M", "status=none"]);
}

async function starts(world: World, directory: string): Promise<Figure[]> {
  await readInOneGo(program("isolate"));
  const ours = [program("isolate"), "-z", world.template, "true"];
  const bare = bareLine(directory);
  say(`${rounds} rounds of: ${ours.slice(1).join(" ")}, and of: ${bare.join(" ")}`);
  const [isolate = [], bwrap = []] = await timeRuns([ours, bare], rounds, {
    as: alice,
    env: { ISOLATE_SOCKET: world.socket },
  });
  const command = `isolate -z ${world.template} true`;
  return [
    {
      what: "a run against a bare bwrap line with the same namespaces and binds",
      value: median(isolate) / median(bwrap),
      unit: "times",
      goal: 3,
      command,
    },
    {
      what: "a run, warm pool, unprivileged",
      value: median(isolate),
      unit: "ms",
      goal: Number.POSITIVE_INFINITY,
      command,
    },
    {
      what: "the bare bwrap line",
      value: median(bwrap),
      unit: "ms",
      goal: Number.POSITIVE_INFINITY,
      command: bare.join(" ").replace(directory, "ROOT"),
    },
  ];
}

/** From the end of the sandbox's last process to a pool that is whole again. */
async function reclaim(world: World): Promise<Figure> {
  const times: number[] = [];
  for (let round = 0; round < 10; round++) {
    await world.settled();
    const child = world.begin(["-z", world.template, "sh", "-c", "echo up; exec sleep 1000"]);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    const end = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await end;
    const begun = performance.now();
    await world.settled();
    times.push(performance.now() - begun);
  }
  return {
    what: "clone reclaimed and pool full again after kill -9",
    value: median(times) / 1000,
    unit: "s",
    goal: 1,
    command: "isolate pool, asked again and again",
  };
}

async function leaseTime(world: World): Promise<Figure> {
  const times = [...world.log().matchAll(/"ms":([0-9.]+),"msg":"leased"/g)].map(([, ms]) => Number(ms));
  return {
    what: `a lease, server side (${times.length} of them)`,
    value: median(times),
    unit: "ms",
    goal: 2,
    command: 'log_level = "debug"',
  };
}

async function memory(world: World): Promise<Figure> {
  const { code, stderr } = await world.isolate(["-r", world.template, "100"], { as: root, patience: 300_000 });
  if (code !== 0) throw new Error(stderr);
  const status = readFileSync(`/proc/${world.daemonPid()}/status`, "utf8");
  const kilobytes = Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]);
  return {
    what: "daemon's resident memory with 100 ready clones",
    value: kilobytes / 1024,
    unit: "MB",
    goal: 120,
    command: `isolate -r ${world.template} 100; grep VmRSS /proc/PID/status`,
  };
}

await main();
