/**
 * Times whole processes. A small program per command starts them and does nothing else in the meantime, so that
 * commands of different users can be compared.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { asUser, type RunOptions, root } from "../support/process.ts";

const warmUps = 3;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface Timed extends Pick<RunOptions, "as" | "env"> {
  readonly words: readonly string[];
  /** Files to open for reading in the command, by descriptor number. */
  readonly open?: Readonly<Record<number, string>>;
  /** The descriptor numbers of a new pipe for each run: the read end and the write end. */
  readonly pipe?: readonly [number, number];
}

/** Runs its command once for each line of standard input. */
const stopwatch = `
import json,os,subprocess,sys,time
words,files,pipe=[json.loads(argument) for argument in sys.argv[1:]]
for number,path in files.items():
  os.dup2(os.open(path,os.O_RDONLY),int(number))
keep=[int(number) for number in files]+pipe
for line in sys.stdin:
  if pipe:
    for number in pipe: os.closerange(number,number+1)
    for end,number in zip(os.pipe(),pipe):
      if end!=number: os.dup2(end,number); os.close(end)
  begun=time.perf_counter()
  code=subprocess.call(words,stdin=subprocess.DEVNULL,stdout=subprocess.DEVNULL,pass_fds=keep)
  end=time.perf_counter()
  if code: sys.exit('%s ended with %d'%(words,code))
  print((end-begun)*1000,flush=True)
`;

/** Milliseconds of each round for each command; the commands take turns. Throws if one does not exit with 0. */
export async function timeRuns(commands: readonly Timed[], rounds: number): Promise<number[][]> {
  const watches = commands.map(startWatch);
  const times: number[][] = commands.map(() => []);
  try {
    for (let round = -warmUps; round < rounds; round++) {
      for (const [index, watch] of watches.entries()) {
        const taken = await watch.time();
        if (round >= 0) times[index]?.push(taken);
      }
    }
    return times;
  } finally {
    for (const watch of watches) watch.end();
  }
}

function startWatch({ words, as = root, env = {}, open = {}, pipe }: Timed) {
  const python = ["python3", "-c", stopwatch, ...[words, open, pipe ?? []].map((value) => JSON.stringify(value))];
  const [program = "", ...args] = asUser(as, python);
  const child = spawn(program, args, { env: { PATH, ...env }, cwd: "/", stdio: "pipe" });
  let complaints = "";
  child.stderr.on("data", (data: Buffer) => {
    complaints = (complaints + data).slice(-2000);
  });
  child.stdin.on("error", () => undefined); // it has ended: its lines say so
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async time(): Promise<number> {
      child.stdin.write("\n");
      const { value, done } = await lines.next();
      if (done) throw new Error(`${words.join(" ")}: ${complaints}`);
      return Number(value);
    },
    end: (): void => void child.stdin.end(),
  };
}

export interface Crowd {
  /** From the first start to the last end. */
  readonly seconds: number;
  /** How many did not exit with 0. */
  readonly failed: number;
  /** The time of each run. */
  readonly milliseconds: readonly number[];
}

/** Starts the next run whenever one has ended. */
const crowdScript = `
import json,os,sys,time
words,runs,parallel=json.loads(sys.argv[1]),int(sys.argv[2]),int(sys.argv[3])
null=os.open('/dev/null',os.O_RDWR)
actions=[(os.POSIX_SPAWN_DUP2,null,0),(os.POSIX_SPAWN_DUP2,null,1)]
begun,taken,failed,left={},[],0,runs
start=time.perf_counter()
while left or begun:
  while left and len(begun)<parallel:
    at=time.perf_counter(); begun[os.posix_spawnp(words[0],words,os.environ,file_actions=actions)]=at; left-=1
  pid,status=os.wait()
  taken.append((time.perf_counter()-begun.pop(pid))*1000)
  if status: failed+=1
print(json.dumps({'seconds':time.perf_counter()-start,'failed':failed,'milliseconds':taken}))
`;

/** Times that many runs of a command, with a given number in parallel. */
export async function crowd({ words, as = root, env = {} }: Timed, runs: number, parallel: number): Promise<Crowd> {
  const python = ["python3", "-c", crowdScript, JSON.stringify(words), String(runs), String(parallel)];
  const [program = "", ...args] = asUser(as, python);
  const child = spawn(program, args, { env: { PATH, ...env }, cwd: "/", stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let complaints = "";
  child.stdout.on("data", (data: Buffer) => {
    output += data;
  });
  child.stderr.on("data", (data: Buffer) => {
    complaints = (complaints + data).slice(-2000);
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(complaints);
  const result = JSON.parse(output) as Crowd;
  if (result.failed > 0) process.stderr.write(complaints);
  return result;
}
