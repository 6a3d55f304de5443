/** Times whole processes by turns. The processes are started by a small program that does nothing else meanwhile. */
import { spawnSync } from "node:child_process";
import { asUser, type RunOptions, root } from "../support/process.ts";

const warmUps = 3;

/** Milliseconds of each round for each command; the commands of a round take turns. Throws when one does not end with 0. */
export async function timeRuns(
  commands: readonly (readonly string[])[],
  rounds: number,
  options: RunOptions,
): Promise<number[][]> {
  const python = [
    "import json,subprocess,sys,time",
    "commands,rounds=json.loads(sys.argv[1]),int(sys.argv[2])",
    "times=[[] for _ in commands]",
    "for round in range(rounds):",
    "  for command,taken in zip(commands,times):",
    "    begun=time.perf_counter(); code=subprocess.call(command,stdout=subprocess.DEVNULL); end=time.perf_counter()",
    "    if code: sys.exit('%s ended with %d'%(command,code))",
    "    taken.append((end-begun)*1000)",
    "print(json.dumps(times))",
  ].join("\n");
  const [program = "", ...args] = asUser(options.as ?? root, [
    "python3",
    "-c",
    python,
    JSON.stringify(commands),
    String(rounds + warmUps),
  ]);
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin", ...options.env };
  const { stdout, stderr, status } = spawnSync(program, args, { encoding: "utf8", env, cwd: "/" });
  if (status !== 0) throw new Error(stderr);
  return (JSON.parse(stdout) as number[][]).map((times) => times.slice(warmUps));
}
