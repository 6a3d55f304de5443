/**
 * Runs one command in a container: a keeper boots it, the command is attached to the caller's terminal, and the keeper
 * removes it. This process stays, forwards signals, and exits with the command's code.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { createInterface } from "node:readline";
import { lxc } from "../../../engines/lxc.ts";
import type { LaunchSpec } from "../../../engines/spec.ts";
import { IsolateError } from "../../../protocol/errors.ts";
import { type KeeperAnswer, type KeeperOrder, keeperWord } from "../../run/attendant.ts";
import type { RunContext } from "../../run/context.ts";
import { attachTrees, stage, toBeMapped } from "../../run/drop-root.ts";
import type { ContainerRun } from "../../run/extras.ts";
import { looker } from "../../run/host.ts";
import type { Libc } from "../../run/linux/libc.ts";
import { cpuPeriod } from "../../run/options/limits.ts";
import type { RunRequest } from "../../run/options/requests.ts";
import { resolveInRoot } from "../../run/paths-in-root.ts";
import type { HostFacts } from "../../run/plan.ts";
import { readIdMaps, refuse } from "./host.ts";

/** Milliseconds for a command to end after TERM, or after HUP when the terminal is gone. The same as isolate-init's. */
const grace = 2000;
const forwarded = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
type Forwarded = (typeof forwarded)[number];

export async function runContainer(run: ContainerRun, context: RunContext): Promise<never> {
  const { libc, print } = context;
  const { facts, request } = run;
  const initOfRoot = findInit(run, context);
  const userns = run.userns;
  if (userns === undefined) throw new IsolateError("missing-protection", { what: "there is no user namespace" });
  const { filterDescriptor } = run.spec.init;
  const filter = filterDescriptor === undefined ? undefined : readFileSync(filterDescriptor).toString("base64");
  const log = openLog(request, facts, print.info);
  const spec = facts.uid === 0 ? staged(run, userns, context) : run.spec;
  const directory = facts.uid === 0 ? "/tmp/lxc" : mkdtempSync(`${run.host.userManager ?? "/tmp"}/isolate-lxc-`);
  const name = `isolate-${facts.uid}-${process.pid}-${process.hrtime.bigint().toString(36)}`;
  const container = lxc(spec, {
    name,
    directory,
    userns: `/proc/${process.pid}/fd/${userns}`,
    ...readIdMaps(userns),
    bridge: request.boot?.bridge ?? "",
    tun: request.boot?.tun ?? false,
    swap: run.host.swap,
    limits: run.host.limits,
    cpuPeriod,
    scope: run.host.userManager === undefined ? [] : userScope(run.host.userManager),
    filterFile: filter === undefined ? undefined : `${directory}/filter`,
    logFile: log === undefined ? `${directory}/log` : `/proc/${process.pid}/fd/${log}`,
    logLevel: log === undefined ? "ERROR" : "TRACE",
  });
  print.trace(() => `container ${name}:\n${container.config}`);

  // As `launch` does before an engine: the container must not inherit the runtime's changes.
  libc.joinNewSessionKeyring();
  libc.setSoftDescriptorLimit(facts.descriptorLimit);

  const ignored = ignoredSignals(libc, request.ignoreInterrupt);
  const signals = catchSignals(libc, ignored);
  const keeper = startKeeper(context.self.slice(1), run.lease);
  try {
    const { config, start, info, stop, kill } = container;
    const systemd = initOfRoot.endsWith("/systemd")
      ? container.probe(["systemctl", "is-system-running", "--wait"])
      : undefined;
    keeper.order({ directory, name, config, filter, start, info, stop, kill, systemd });
    const answer = await Promise.race([keeper.answer, signals.first]);
    if (typeof answer === "string") return await leave(128 + constants.signals[answer]);
    if ("failed" in answer) {
      await keeper.end("kill");
      throw refuse(answer.failed, "run it again with DEBUG_LXC_SPAWN=1, which keeps LXC's log");
    }
    // Node resets its children's signals to the defaults.
    const ignoring = ignored.length === 0 ? [] : [`--ignore-signal=${ignored.map((name) => name.slice(3)).join(",")}`];
    const command = spawn("env", [...ignoring, ...container.attach], { stdio: "inherit", cwd: "/" });
    const hasToEnd = signals.to(command);
    const code = await Promise.race([ended(command), keeper.gone.then(() => undefined), hasToEnd]);
    return await leave(code ?? 128 + constants.signals.SIGKILL);
  } finally {
    signals.stop();
  }

  async function leave(code: number): Promise<never> {
    await keeper.end("stop");
    process.exit(code);
  }
}

/** Returns the path of the init, which many roots do not have. */
function findInit({ spec, facts }: ContainerRun, { libc }: RunContext): string {
  const init = resolveInRoot("/sbin/init", [{ at: "/", from: spec.root }], looker(libc, facts.opened));
  if ("kind" in init && init.kind === "file") return init.path;
  throw refuse(
    "the root filesystem has no /sbin/init to boot",
    "use the engine 'bwrap', or install systemd-sysv in the template",
  );
}

/** Maps the ids of the caller's host paths, in a mount namespace of this process and its children. */
function staged({ spec, facts, ids }: ContainerRun, userns: number, { libc, rootCalls }: RunContext): LaunchSpec {
  const { trees, spec: moved } = stage(spec, toBeMapped(facts, ids, libc));
  attachTrees(trees, { userns, opened: facts.opened }, rootCalls, libc);
  return moved;
}

function userScope(runtimeDirectory: string): string[] {
  const scope = ["--user", "--scope", "--quiet", "--collect", "-p", "Delegate=yes", "--"];
  return ["env", `XDG_RUNTIME_DIR=${runtimeDirectory}`, "systemd-run", ...scope];
}

/**
 * Whether Ctrl-C reaches this process: the first standard descriptor that is its terminal decides. `undefined` if none
 * is any more.
 */
function isForeground(libc: Libc): boolean | undefined {
  return [0, 1, 2].map((fd) => libc.isForeground(fd)).find((answer) => answer !== undefined);
}

/** Signals that the caller ignores, as with nohup(1), stay ignored. Read first: a handler would hide that. */
function ignoredSignals(libc: Libc, ignoreInterrupt: boolean): Forwarded[] {
  const mask = Number.parseInt(
    /^SigIgn:\s*[0-9a-f]{8}([0-9a-f]{8})$/m.exec(libc.readText("/proc/self/status"))?.[1] ?? "0",
    16,
  );
  return forwarded.filter(
    (signal) => ((mask >>> (constants.signals[signal] - 1)) & 1) === 1 || (ignoreInterrupt && signal === "SIGINT"),
  );
}

/** Opens a log file with a name that nobody can have prepared. */
function openLog({ boot }: RunRequest, { uid }: HostFacts, say: (sentence: string) => void): number | undefined {
  if (!boot?.log) return undefined;
  const path = `/tmp/isolate_lxc_log.${uid}.${process.hrtime.bigint()}`;
  const fd = openSync(path, "ax", 0o600);
  say(`LXC's log is ${path}`);
  return fd;
}

/** `script`: set if a runtime runs this program. */
function startKeeper(script: readonly string[], lease: number | undefined) {
  const child = spawn("/proc/self/exe", [...script, keeperWord], {
    stdio: ["pipe", "pipe", "inherit", ...(lease === undefined ? [] : [lease])],
    cwd: "/",
    detached: true, // Ctrl-C must not reach it
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
  });
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error("the keeper has no pipes");
  stdin.on("error", () => {}); // its exit code tells more
  const gone = ended(child);
  const failed: Promise<KeeperAnswer> = gone.then((code) => ({ failed: `the container's keeper ended with ${code}` }));
  const line = new Promise<KeeperAnswer>((resolve) => {
    createInterface(stdout).once("line", (text) => resolve(JSON.parse(text) as KeeperAnswer));
  });
  return {
    gone,
    answer: Promise.race([line, failed]),
    order: (order: KeeperOrder): void => void stdin.write(`${JSON.stringify(order)}\n`),
    async end(how: "stop" | "kill"): Promise<void> {
      stdin.end(`${how}\n`);
      await gone;
    },
  };
}

/** Returns its exit code; 128 + n if signal n ended it. */
function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once("error", () => resolve(125));
    child.once("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? "SIGKILL"]));
  });
}

/**
 * Forwards signals from the client to the command. Ctrl-C and Ctrl-\\ need no forwarding: they reach the whole
 * foreground job from the terminal, or the command through the terminal that lxc-attach makes.
 */
function catchSignals(libc: Libc, ignored: readonly Forwarded[]) {
  const foreground = isForeground(libc);
  let target: ChildProcess | undefined;
  let tell: (signal: Forwarded) => void = () => {};
  const first = new Promise<Forwarded>((resolve) => {
    tell = resolve;
  });
  let over = (): void => {};
  const hasToEnd = new Promise<undefined>((resolve) => {
    over = () => resolve(undefined);
  });
  const handlers = forwarded.map((signal) => {
    const handle = (): void => {
      if (ignored.includes(signal)) return;
      tell(signal);
      if (target === undefined) return;
      if (foreground && (signal === "SIGINT" || signal === "SIGQUIT")) return;
      toCommand(target, signal);
      const terminalGone = foreground !== undefined && isForeground(libc) === undefined;
      if (signal === "SIGTERM" || (signal === "SIGHUP" && terminalGone)) setTimeout(over, grace).unref();
    };
    process.on(signal, handle);
    return () => process.off(signal, handle);
  });
  const suspend = (): void => {
    if (target) toCommand(target, "SIGTSTP");
    process.kill(process.pid, "SIGSTOP");
  };
  const resume = (): void => {
    if (target) toCommand(target, "SIGCONT");
  };
  const resize = (): void => {
    if (target) toCommand(target, "SIGWINCH");
  };
  process.on("SIGTSTP", suspend).on("SIGCONT", resume).on("SIGWINCH", resize);
  return {
    /** Before the command runs, the first signal ends the run. */
    first,
    to(command: ChildProcess): Promise<undefined> {
      target = command;
      return hasToEnd;
    },
    stop(): void {
      for (const off of handlers) off();
      process.off("SIGTSTP", suspend).off("SIGCONT", resume).off("SIGWINCH", resize);
    },
  };
}

/** lxc-attach waits for the command, which is its child (clone(2), CLONE_PARENT), and forwards no signal. */
function toCommand(attach: ChildProcess, signal: NodeJS.Signals): void {
  const pid = attach.pid;
  if (pid === undefined) return;
  let children: string[] = [];
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
  } catch {
    // it has ended
  }
  for (const child of children.length > 0 ? children : [String(pid)]) {
    try {
      process.kill(Number(child), signal);
    } catch {
      // it has ended too
    }
  }
}
