/** The time of one run, compared with the minimum that could do the same. */
import type { ChildProcess } from "node:child_process";
import { finished } from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, type World } from "../support/world.ts";
import { type Figure, median } from "./figures.ts";
import { type Timed, timeRuns } from "./timing.ts";

export const ourRun = (world: World): Timed => ({
  words: [program("isolate"), "-z", world.template, "true"],
  as: alice,
  env: { ISOLATE_SOCKET: world.socket },
});

/** The client's namespaces and binds, on a directory that already exists. */
export function bareLine(directory: string): Timed {
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
  return { words: ["bwrap", ...namespaces, ...mounts, "--chdir", "/", "true"], as: alice };
}

export async function starts(
  world: World,
  directory: string,
  rounds: number,
  say: (line: string) => void,
): Promise<Figure[]> {
  const bare = bareLine(directory);
  const held = await holdClone(world);
  try {
    say(`${rounds} rounds of: isolate -z ${world.template} true, and of: ${bare.words.join(" ")}`);
    const nothing: Timed = { words: ["true"], as: alice };
    const [isolate = [], bwrap = [], engine = [], least = []] = await timeRuns(
      [ourRun(world), bare, held.engine, nothing],
      rounds,
    );
    const command = `isolate -z ${world.template} true`;
    const bareCommand = bare.words.join(" ").replace(directory, "ROOT");
    return [
      {
        what: "a run against a bare bwrap line with the same namespaces and binds",
        value: median(isolate) / median(bwrap),
        unit: "times",
        goal: { atMost: 2.2 },
        command,
      },
      { what: "a run, warm pool, unprivileged", value: median(isolate), unit: "ms", command },
      { what: "the bare bwrap line", value: median(bwrap), unit: "ms", command: bareCommand },
      {
        what: "what the client executes, by itself: isolate-monitor, bwrap and isolate-init on a clone that is leased already",
        value: median(engine),
        unit: "ms",
        command: "isolate-monitor ... -- bwrap --userns 6 ... -- /dev/isolate-init --lease-fd 5 ... -- true",
      },
      { what: "a program that does nothing, by the same stopwatch", value: median(least), unit: "ms", command: "true" },
    ];
  } finally {
    await held.end();
  }
}

/** A leased clone, and the engine's command line for it, as `-x` prints it. */
async function holdClone(world: World): Promise<{ engine: Timed; end(): Promise<void> }> {
  const child = world.begin(["-x", "-z", world.template, "sleep", "100000"]);
  const line = await traced(child);
  const words = line.split(" ");
  const number = (option: string): number => Number(words[words.indexOf(option) + 1]);
  const view = words[words.indexOf("--bind") + 1] ?? "";
  const userns = `${view.slice(0, view.lastIndexOf("/"))}/userns.${alice.uid}`;
  return {
    engine: {
      words: [...words.slice(0, words.indexOf("sleep")), "true"],
      as: alice,
      open: { [number("--userns")]: userns, [number("--lease-fd")]: "/dev/null" },
      pipe: [number("--monitor-fd"), number("--pipe")],
    },
    async end() {
      child.kill("SIGKILL");
      await finished(child);
      await world.settled();
    },
  };
}

function traced(child: ChildProcess): Promise<string> {
  let text = "";
  return new Promise((resolve, reject) => {
    child.stderr?.on("data", (data: Buffer) => {
      text += data;
      const line = /^isolate: exec: (.*)\n/m.exec(text)?.[1];
      if (line !== undefined) resolve(line);
    });
    child.on("close", () => reject(new Error(`the client ended: ${text}`)));
  });
}
