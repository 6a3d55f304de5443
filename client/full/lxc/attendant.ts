/**
 * Boots a container, and removes it when its client says so or is gone: the client can be killed at any moment, and
 * nothing that it started may stay. Runs in its own session and holds the lease until everything is gone. If the keeper
 * is killed, LXC's monitor dies with it (start's pdeathsig), and so does the container.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { KeeperAnswer, KeeperOrder } from "../../run/attendant.ts";

/** Milliseconds. */
const bootPatience = 120_000;
const startPatience = 60_000;
const poll = 50;
/** lxc-stop waits two seconds for init to end, then kills it. */
const stopPatience = 2800;

type Ending = "stop" | "kill";

export async function keep(): Promise<never> {
  const { order, ending } = await listen();
  process.on("SIGTERM", () => {}).on("SIGHUP", () => {}); // the client decides
  const own = `${order.directory}/${order.name}`;
  mkdirSync(own, { recursive: true, mode: 0o711 }); // LXC requires access for the root inside
  writeFileSync(`${own}/config`, order.config, { mode: 0o600 });
  if (order.filter !== undefined)
    writeFileSync(`${order.directory}/filter`, Buffer.from(order.filter, "base64"), { mode: 0o444 });
  const monitor = start(order);
  try {
    const answer = await Promise.race([boot(order, monitor), ending]);
    if (typeof answer !== "string") {
      process.stdout.write(`${JSON.stringify(answer)}\n`);
      if ("ready" in answer) await Promise.race([ending, monitor.ended]);
    }
    await end(order, monitor, await Promise.race([ending, Promise.resolve<Ending>("stop")]));
  } finally {
    remove(order);
  }
  process.exit(0);
}

/** Reads the order, and how to end: `kill` if the client is gone. Ends this process if there is no order. */
function listen(): Promise<{ order: KeeperOrder; ending: Promise<Ending> }> {
  return new Promise((resolve) => {
    const lines = createInterface(process.stdin);
    const nothingToDo = (): never => process.exit(0);
    lines.once("close", nothingToDo);
    lines.once("line", (text) => {
      lines.off("close", nothingToDo);
      const ending = new Promise<Ending>((tell) => {
        lines.on("line", (word) => tell(word === "stop" ? "stop" : "kill"));
        lines.on("close", () => tell("kill"));
      });
      resolve({ order: JSON.parse(text) as KeeperOrder, ending });
    });
  });
}

interface Monitor {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  hasEnded(): boolean;
  said(): string;
}

function start({ start: [program = "", ...args] }: KeeperOrder): Monitor {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], cwd: "/" });
  let said = "";
  let over = false;
  child.stderr?.on("data", (data: Buffer) => {
    said = (said + data).slice(-4000);
  });
  const ended = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      said = error.message;
      over = true;
      resolve();
    });
    child.once("exit", () => {
      over = true;
      resolve();
    });
  });
  return { child, ended, hasEnded: () => over, said: () => said };
}

async function boot(order: KeeperOrder, monitor: Monitor): Promise<KeeperAnswer> {
  const began = Date.now();
  const failed = (): KeeperAnswer => ({ failed: `the container did not start: ${reason(order, monitor)}` });
  for (;;) {
    if (monitor.hasEnded()) return failed();
    if (Date.now() - began > startPatience) return { failed: "the container did not start within a minute" };
    await sleep(poll);
    const pid = /^State:\s+RUNNING$[\s\S]*^PID:\s+(\d+)$/m.exec(await output(order.info))?.[1];
    if (pid !== undefined && !/lxc-start|isolate-seccomp/.test(commandOf(pid))) break;
  }
  while (order.systemd !== undefined) {
    if (monitor.hasEnded()) return failed();
    if (Date.now() - began > bootPatience) return { failed: "its systemd did not come up within two minutes" };
    if (/^(running|degraded)$/m.test(await output(order.systemd))) break;
    await sleep(4 * poll);
  }
  return monitor.hasEnded() ? failed() : { ready: true };
}

/** Returns LXC's first error. */
function reason({ directory }: KeeperOrder, monitor: Monitor): string {
  let log = "";
  try {
    log = readFileSync(`${directory}/log`, "utf8");
  } catch {
    // the log is elsewhere or does not exist
  }
  const complaint = /\sERROR\s+\S+ - \S+ - (.*)$/m.exec(log)?.[1];
  return complaint ?? (monitor.said().trim().split("\n")[0] || "lxc-start gave no reason");
}

async function end(order: KeeperOrder, monitor: Monitor, how: Ending): Promise<void> {
  if (!monitor.hasEnded() && how === "stop") {
    await Promise.race([output(order.stop), sleep(stopPatience)]);
    await Promise.race([monitor.ended, sleep(10 * poll)]);
  }
  if (!monitor.hasEnded()) {
    await Promise.race([output(order.kill), sleep(10 * poll)]);
    await Promise.race([monitor.ended, sleep(10 * poll)]);
  }
  if (!monitor.hasEnded()) monitor.child.kill("SIGKILL");
  await monitor.ended;
}

/** Removes what LXC leaves: isolate's directory, and for root a lock and, if its monitor was killed, cgroups. */
function remove({ directory, name }: KeeperOrder): void {
  rmSync(directory, { recursive: true, force: true });
  if (process.getuid?.() !== 0) return;
  quietly(() => unlinkSync(`/run/lxc/lock/${directory}/.${name}`));
  for (let path = `/run/lxc/lock${directory}`; path !== "/run/lxc/lock"; path = path.slice(0, path.lastIndexOf("/")))
    quietly(() => rmdirSync(path));
  for (const kind of ["payload", "monitor"]) removeCgroup(`/sys/fs/cgroup/lxc.${kind}.${name}`);
}

function removeCgroup(path: string): void {
  quietly(() => {
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) removeCgroup(`${path}/${entry.name}`);
    rmdirSync(path);
  });
}

/** Removes a file that may not exist. */
function quietly(act: () => void): void {
  try {
    act();
  } catch {
    // see above
  }
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

function output([program = "", ...args]: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"], cwd: "/" });
    let text = "";
    child.stdout.on("data", (data: Buffer) => {
      text += data;
    });
    child.once("error", () => resolve(""));
    child.once("close", () => resolve(text));
  });
}
