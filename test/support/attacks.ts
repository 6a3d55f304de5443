/**
 * A hostile member's attacks on the daemon's socket, each a Python program that runs until it is killed. It prints `up`
 * when the attack is fully running.
 */
import type { ChildProcess } from "node:child_process";
import { finished, start, type User } from "./process.ts";

export interface Attack {
  readonly name: string;
  /** Lines of Python, after `prelude`. */
  readonly lines: readonly string[];
  /** Runs as root; the program itself takes on other ids. */
  readonly asRoot?: boolean;
}

export interface Target {
  readonly socket: string;
  readonly template: string;
  /** The group that may connect. */
  readonly group: number;
}

const prelude = ({ socket, template, group }: Target): string[] => [
  "import os, resource, select, signal, socket, sys, time, threading, urllib.parse",
  `path, template, group = ${JSON.stringify(socket)}, ${JSON.stringify(template)}, ${group}`,
  "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)",
  "resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))",
  "parent = os.getpid()",
  "def die_with(parent):",
  "  import ctypes; ctypes.CDLL(None).prctl(1, 9)",
  "  if os.getppid() != parent: os._exit(0)",
  "def connect():",
  "  c = socket.socket(socket.AF_UNIX)",
  "  try: c.connect(path)",
  "  except OSError: c.close(); return None",
  "  return c",
  "def request(line, *fields): return ('\\r\\n'.join([line + ' HTTP/1.1', 'Host: x', *fields, '', ''])).encode()",
  "upgrade = ['Connection: Upgrade', 'Upgrade: isolate-lease']",
  "lease = request('GET /v1/lease?wait=5&template=' + urllib.parse.quote(template, safe=''), *upgrade)",
  "def up(): print('up', flush=True)",
  "def read(c, size=1 << 20):",
  "  try: return c.recv(size)",
  "  except OSError: return b''",
  "def send(c, data):",
  "  try: c.sendall(data); return True",
  "  except OSError: return False",
  // Requests one after the other on one connection, each answer read.
  "def ask(make):",
  "  while True:",
  "    c = connect()",
  "    while c and send(c, make()):",
  "      if not read(c): break",
  "    if c: c.close()",
  "def many(count, act, *more):",
  "  for _ in range(count): threading.Thread(target=act, args=more, daemon=True).start()",
];

/** Processes of the attacker that the daemon may have to check, each with many descriptors. */
const sleepers = (count: number): string[] => [
  `for _ in range(${count}):`,
  "  if os.fork() == 0:",
  "    signal.signal(signal.SIGTERM, signal.SIG_DFL)",
  "    die_with(parent)",
  "    null = os.open('/dev/null', 0)",
  "    for n in range(64): os.dup2(null, 3 + n)",
  "    time.sleep(100000); os._exit(0)",
];

/** Takes a lease and stores its name in `name`. */
const holdLease = [
  "held = connect(); held.sendall(lease)",
  "text = b''",
  'while b\'"lease":"\' not in text: text += held.recv(65536)',
  "name = text.split(b'\"lease\":\"')[1].split(b'\"')[0].decode()",
];

export const attacks: readonly Attack[] = [
  {
    name: "kills, 300 on each of 20 connections, among 300 processes of 64 descriptors",
    lines: [
      ...sleepers(300),
      ...holdLease,
      "kills = (request('DELETE /v1/leases?lease=' + name) + request('DELETE /v1/leases?lease=nothing')) * 150",
      "def kill():",
      "  while True:",
      "    c = connect()",
      "    if c: send(c, kills); read(c); c.close()",
      "many(20, kill); up(); time.sleep(100000)",
    ],
  },
  {
    name: "leases whose holders end and leave the connection to a child",
    lines: [
      ...sleepers(300),
      "def heir():",
      "  if os.fork(): return",
      "  import ctypes; ctypes.CDLL(None).prctl(1, 9)",
      "  if os.fork() == 0:",
      "    c = connect()",
      "    if c: send(c, lease); read(c)",
      "    if c and os.fork() == 0: ctypes.CDLL(None).prctl(1, 0); time.sleep(20)",
      "    os._exit(0)",
      "  os.wait(); os._exit(0)",
      "up()",
      "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
      "while True: heir(); time.sleep(0.1)",
    ],
  },
  {
    name: "the log, 1,400 requests on each of 20 connections, and nothing read",
    lines: [
      "asked = request('GET /v1/log?limit=10000') * 1400",
      "kept = [connect() for _ in range(20)]",
      "for c in kept: c.setblocking(False)",
      "def push(c):",
      "  try: c.send(asked)",
      "  except OSError: pass",
      "for c in kept: push(c)",
      "up()",
      "while True:",
      "  time.sleep(0.2)",
      "  for i, c in enumerate(kept):",
      "    try:",
      "      if c.send(asked[:45]) < 0: pass",
      "    except BlockingIOError: pass",
      "    except OSError:",
      "      c.close(); kept[i] = connect() or c",
      "      if kept[i] is not c: kept[i].setblocking(False); push(kept[i])",
    ],
  },
  {
    name: "the log, all of it again and again, by a template that it does not have, 50 connections",
    lines: ["many(50, ask, lambda: request('GET /v1/log?limit=10000&template=none')); up(); time.sleep(100000)"],
  },
  {
    name: "every listing, one after the other, on 100 connections",
    lines: [
      "import itertools",
      "paths = itertools.cycle(['leases', 'pools', 'templates', 'health', 'metrics', 'log?limit=10000', 'none'])",
      "many(100, ask, lambda: request('GET /v1/' + next(paths))); up(); time.sleep(100000)",
    ],
  },
  {
    name: "connections, as many as it gets, opened again when they are closed",
    lines: [
      "kept = []",
      "up()",
      "while True:",
      "  kept = [c for c in kept if not select.select([c], [], [], 0)[0] or c.close()] if len(kept) < 900 else kept",
      "  while len(kept) < 900:",
      "    c = connect()",
      "    if c: kept.append(c)",
      "  time.sleep(0.05)",
      "  for c in kept: c.close()",
      "  kept = []",
    ],
  },
  {
    name: "connections that are opened and closed at once, by 4 threads",
    lines: [
      "def churn():",
      "  while True:",
      "    c = connect()",
      "    if c: c.close()",
      "many(4, churn); up(); time.sleep(100000)",
    ],
  },
  {
    name: "connections of 75 subordinate ids",
    asRoot: true,
    lines: [
      "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
      "for n in range(75):",
      "  if os.fork() == 0:",
      "    os.setgroups([group]); os.setresgid(200000 + n, 200000 + n, 200000 + n); os.setresuid(200000 + n, 200000 + n, 200000 + n)",
      "    die_with(parent)", // after the change of ids, which takes it away
      "    kept = []",
      "    while True:",
      "      while len(kept) < 320:",
      "        c = connect()",
      "        if c: kept.append(c)",
      "      time.sleep(1)",
      "      for c in kept: c.close()",
      "      kept = []",
      "up(); time.sleep(100000)",
    ],
  },
  {
    name: "uploads without end, refused, on 20 connections",
    lines: [
      "head = request('POST /v1/templates?template=x', 'Content-Type: application/x-tar', 'Transfer-Encoding: chunked')",
      "chunk = b'100000\\r\\n' + b'x' * 0x100000 + b'\\r\\n'",
      "def upload():",
      "  while True:",
      "    c = connect()",
      "    if not c: continue",
      "    send(c, head)",
      "    while send(c, chunk): pass",
      "    c.close()",
      "many(20, upload); up(); time.sleep(100000)",
    ],
  },
  {
    name: "leases, taken and given up, or refused, by 64 threads",
    lines: [
      "def take():",
      "  while True:",
      "    c = connect()",
      "    if c: send(c, lease); read(c); c.close()",
      "many(64, take); up(); time.sleep(100000)",
    ],
  },
  {
    name: "heads without end and what is no HTTP, on 50 connections",
    lines: [
      "import itertools",
      "junk = itertools.cycle([b'\\n' * 65536, b'GET / HTTP/1.1\\r\\n' + b'A: b\\r\\n' * 9000, b'\\x16\\x03\\x01' * 9999])",
      "def send_junk():",
      "  while True:",
      "    c = connect()",
      "    if not c: continue",
      "    send(c, next(junk)); read(c); c.close()",
      "many(50, send_junk); up(); time.sleep(100000)",
    ],
  },
];

export interface RunningAttack {
  readonly child: ChildProcess;
  end(): Promise<void>;
}

/**
 * Resolves when the attack is fully running. It runs at the lowest priority: the share of the processors that its own
 * processes take is up to the host, and not tested here.
 */
export async function startAttack({ name, lines, asRoot }: Attack, target: Target, as: User): Promise<RunningAttack> {
  const command = ["nice", "-n", "19", "python3", "-c", [...prelude(target), ...lines].join("\n")];
  const child = start(command, asRoot ? {} : { as });
  let said = "";
  child.stderr?.on("data", (data: Buffer) => {
    said = (said + data).slice(-2000);
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once("data", () => resolve());
    child.once("close", () => reject(new Error(`the attack '${name}' ended: ${said}`)));
  });
  return {
    child,
    async end() {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await finished(child);
    },
  };
}
