import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, open, readFile, rm, truncate } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lastLines } from "./command.ts";
import { readyMark } from "./guest-root.ts";
import type { Image } from "./image.ts";
import { order } from "./monitor.ts";
import { emulator } from "./packages.ts";
import type { Progress } from "./progress.ts";
import { type Accelerator, qemuArguments } from "./qemu.ts";
import { connectionLost, shellLine, sshArguments } from "./ssh.ts";

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Receives the command's output as it arrives; by default this process's own output. */
  readonly stdoutTo?: NodeJS.WritableStream;
  readonly timeoutMs?: number;
}

/** A booted guest. However this process ends, QEMU ends with it and the guest's disks are gone. */
export interface Guest {
  /** A shell command line that opens a shell in the guest. */
  readonly sshCommand: string;
  /** Runs a command as root and returns its exit code. Throws if the guest dies or the time is over. */
  run(command: readonly string[], options?: RunOptions): Promise<number>;
  /** Copies the content of a directory of this machine into a directory of the guest. */
  copyIn(directory: string, to: string): Promise<void>;
  /** Reboots the guest as systemctl reboot does; its disks stay as they are. */
  reboot(): Promise<void>;
  /** Resolves when QEMU has ended, for any reason. */
  readonly ended: Promise<void>;
  /** Pulls the plug: nothing on the guest's disks is kept, so there is nothing to shut down. */
  powerOff(): Promise<void>;
}

export interface BootRequest {
  readonly image: Image;
  readonly accelerator: Accelerator;
  readonly say: Progress;
  /** Makes the disk that carries the project, at the path given. */
  readonly makeProjectDisk: (file: string) => Promise<void>;
}

const bootTimeoutMs = 5 * 60_000;
const poolBytes = 8 * 2 ** 30;

/** Boots a guest and waits until its ssh answers. Throws with the console's last lines if it does not. */
export async function boot(request: BootRequest): Promise<Guest> {
  const directory = await mkdtemp(join(tmpdir(), "isolate-test-"));
  const removeFiles = () => rmSync(directory, { recursive: true, force: true });
  process.once("exit", removeFiles);
  const poolDisk = join(directory, "pool.raw");
  await (await open(poolDisk, "w")).close();
  await truncate(poolDisk, poolBytes);
  const projectDisk = join(directory, "project.ext4");
  await request.makeProjectDisk(projectDisk);

  const serial = join(directory, "console");
  const monitor = join(directory, "monitor");
  const sshPort = await freePort();
  const hardware = { ...request, poolDisk, projectDisk, sshPort, monitor, console: serial };
  const machine = startQemu(qemuArguments(hardware));
  const failure = async (what: string) =>
    new Error(`${what}${machine.lastWords()}; the end of its console:\n${await lastLines(serial, 40)}`);
  const powerOff = async () => {
    await machine.end();
    removeFiles();
    process.removeListener("exit", removeFiles);
  };

  try {
    request.say(`booting the guest (${request.accelerator})`);
    await waitForMark(serial, 1, machine, failure);
    // QEMU has these files open: without a name they are gone when it ends, even if this process is killed.
    await Promise.all([rm(poolDisk), rm(projectDisk)]);
  } catch (error) {
    await powerOff();
    throw error;
  }

  const ssh = sshArguments(request.image, sshPort);
  const run = async (command: readonly string[], options: RunOptions = {}) => {
    const code = await runOverSsh(ssh, command, options);
    if (code === connectionLost && (await endsSoon(machine)))
      throw await failure(`the guest died during ${command[0]}`);
    return code;
  };
  return {
    sshCommand: shellLine(["ssh", ...ssh]),
    run,
    async reboot() {
      const boots = await marksIn(serial);
      await order(monitor, "set-action", { reboot: "reset" });
      await run(["systemctl", "reboot"]);
      await waitForMark(serial, boots + 1, machine, failure);
      await order(monitor, "set-action", { reboot: "shutdown" });
    },
    copyIn: (from, to) => copyOverSsh(ssh, from, to),
    ended: machine.ended,
    powerOff,
  };
}

interface Machine {
  readonly ended: Promise<void>;
  isRunning(): boolean;
  /** QEMU's own error output. */
  lastWords(): string;
  end(): Promise<void>;
}

/** `setpriv --pdeathsig`: even SIGKILL of this process leaves no QEMU behind. */
function startQemu(args: readonly string[]): Machine {
  const child = spawn("setpriv", ["--pdeathsig", "KILL", emulator.program, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    // Ctrl-C at the terminal goes to this process only, which then ends QEMU.
    detached: true,
  });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = `${words}${chunk}`.slice(-2000);
  });
  child.once("error", (cause) => {
    words += cause.message;
  });
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  const ended = new Promise<void>((resolve) => {
    child.once("close", resolve);
    child.once("error", () => resolve());
  });
  void ended.then(() => process.removeListener("exit", kill));
  return {
    ended,
    isRunning: () => child.pid !== undefined && child.exitCode === null && child.signalCode === null,
    lastWords: () => (words === "" ? "" : ` (QEMU: ${words.trim()})`),
    end: async () => {
      kill();
      await ended;
    },
  };
}

const marksIn = async (serial: string): Promise<number> =>
  (await readFile(serial, "utf8").catch(() => "")).split(readyMark).length - 1;

async function waitForMark(
  serial: string,
  count: number,
  machine: Machine,
  failure: (what: string) => Promise<Error>,
): Promise<void> {
  const deadline = Date.now() + bootTimeoutMs;
  while ((await marksIn(serial)) < count) {
    if (!machine.isRunning()) throw await failure("the guest ended while it booted");
    if (Date.now() > deadline) throw await failure(`the guest did not boot within ${bootTimeoutMs / 60_000} minutes`);
    await sleep(200);
  }
}

/** Waits for QEMU's end: a dying guest closes the connection a moment before QEMU is gone. */
async function endsSoon(machine: Machine): Promise<boolean> {
  await Promise.race([machine.ended, sleep(2000)]);
  return !machine.isRunning();
}

async function runOverSsh(ssh: readonly string[], command: readonly string[], options: RunOptions): Promise<number> {
  const variables = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const remote = shellLine(variables.length === 0 ? command : ["env", ...variables, ...command]);
  const child = spawn("ssh", [...ssh, remote], { stdio: ["ignore", options.stdoutTo ? "pipe" : "inherit", "inherit"] });
  if (options.stdoutTo) child.stdout?.pipe(options.stdoutTo, { end: false });
  return exitCode(child, `${command[0]} in the guest`, options.timeoutMs);
}

async function copyOverSsh(ssh: readonly string[], from: string, to: string): Promise<void> {
  const pack = spawn("tar", ["-C", from, "-cf", "-", "."], { stdio: ["ignore", "pipe", "inherit"] });
  const unpack = `mkdir -p ${shellLine([to])} && tar --no-same-owner -C ${shellLine([to])} -xf -`;
  const send = spawn("ssh", [...ssh, unpack], { stdio: ["pipe", "inherit", "inherit"] });
  pack.stdout.pipe(send.stdin);
  const codes = await Promise.all([exitCode(pack, "tar"), exitCode(send, "tar in the guest")]);
  if (codes.some((code) => code !== 0))
    throw new Error(`cannot copy ${from} to ${to} in the guest (tar ${codes.join(", ssh ")})`);
}

async function exitCode(child: ChildProcess, what: string, timeoutMs?: number): Promise<number> {
  let late = false;
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => (late = child.kill("SIGKILL")), timeoutMs);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", (cause) => reject(new Error(`cannot start ${what}: ${cause.message}`, { cause })));
      child.once("close", resolve);
    });
    if (late) throw new Error(`${what} did not end within ${(timeoutMs ?? 0) / 1000} s`);
    return code ?? connectionLost;
  } finally {
    clearTimeout(timer);
  }
}

/** Another process may take the port before QEMU does; QEMU then reports it and the boot fails. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("cannot find a free port on 127.0.0.1");
  return address.port;
}
