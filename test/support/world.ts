/**
 * A complete isolate for one test file: a real daemon with its paths in a temporary directory, a real Debian template
 * on the storage under test, and real users by number. `close` always removes everything.
 */
import type { ChildProcess } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Lease, Pool } from "../../protocol/schema.ts";
import { debianTar } from "./debian-root.ts";
import { mountImage } from "./image.ts";
import { eventually, finished, must, type Outcome, type RunOptions, root, run, start, type User } from "./process.ts";
import { program } from "./project.ts";

export const group = 61100;
const member = (uid: number): User => ({ uid, gid: uid, groups: [group] });
/** Has a range in subuid(5). */
export const alice = member(61101);
/** Has none: the daemon allocates a range. */
export const bob = member(61102);
/** A member of no group. */
export const mallory: User = { uid: 61103, gid: 61103, groups: [] };

/** Without the bytes, which change on their own. */
type PoolStatus = Omit<Pool, "bytes" | "written" | "countedAt">;

export interface WorldOptions {
  /** More lines of isolated.toml. */
  readonly config?: string;
  /** Number of ready clones of the template; default 3. */
  readonly size?: number;
  /** The parent directory of everything; default /tmp. */
  readonly parent?: string;
  /** The runtime directory's parent; by default it is with the rest. /run is a tmpfs on most hosts. */
  readonly runtimeParent?: string;
  /** Additional environment variables of the daemon. */
  readonly daemonEnvironment?: Readonly<Record<string, string>>;
  /** The daemon's limit of open files; by default that of this process. */
  readonly daemonDescriptors?: number;
  /** `false`: do not make a template. */
  readonly template?: boolean;
  /** Makes the state directory a separate file system of this size. (ZFS templates are not in it.) */
  readonly storageMebibytes?: number;
}

export type World = Awaited<ReturnType<typeof createWorld>>;

const pool = process.env.ISOLATE_TEST_ZPOOL;

export async function createWorld(options: WorldOptions = {}) {
  const directory = mkdtempSync(join(options.parent ?? tmpdir(), "isolate-"));
  const at = (name: string): string => join(directory, name);
  const parent = pool ? `${pool}/${directory.slice(directory.lastIndexOf("/") + 1)}` : undefined;
  const template = parent ? `${parent}/debian` : "debian";
  const logFile = at("log");
  const state = at("state");
  const runtime =
    options.runtimeParent === undefined ? at("run") : mkdtempSync(join(options.runtimeParent, "isolate-"));
  const socket = join(runtime, "socket"); // as by default, in the same directory as the views
  let daemon: ChildProcess | undefined;

  writeFileSync(at("subuid"), `${alice.uid}:200000:65536\n`);
  const configure = (more: string): void =>
    writeFileSync(
      at("isolated.toml"),
      `group = ${group}\nsocket = "${socket}"\nstate_dir = "${state}"\nruntime_dir = "${runtime}"\nlog_level = "debug"\n${more}\n[ids]\nsubuid = "${at("subuid")}"\nsubgid = "${at("subuid")}"\n`,
    );
  configure(options.config ?? "");
  // A member reaches the socket and the views through it.
  await must(["chmod", "755", directory]);

  const isolate = (args: readonly string[], run_: RunOptions = {}): Promise<Outcome> =>
    run([program("isolate"), ...args], { as: alice, ...run_, env: { ISOLATE_SOCKET: socket, ...run_.env } });

  async function pools(): Promise<PoolStatus[]> {
    const { stdout, code, stderr } = await isolate(["pool", "--json"], { as: root });
    if (code !== 0) throw new Error(`isolate pool: ${stderr}`);
    return (JSON.parse(stdout) as Pool[]).map(({ bytes, written, countedAt, ...status }) => status);
  }

  const world = {
    directory,
    template,
    socket,
    state,
    runtime,
    isolate,
    pools,
    log: (): string => readFileSync(logFile, "utf8"),
    daemonPid: (): number => daemon?.pid ?? 0,
    /** Rewrites the configuration, with these lines in place of the original ones. */
    configure,
    /** Starts the client and leaves it running. */
    begin: (args: readonly string[], run_: RunOptions = {}): ChildProcess =>
      start([program("isolate"), ...args], { as: alice, ...run_, env: { ISOLATE_SOCKET: socket, ...run_.env } }),

    async startDaemon(): Promise<void> {
      const limited = options.daemonDescriptors === undefined ? "" : `ulimit -n ${options.daemonDescriptors}; `;
      const command = [
        "sh",
        "-c",
        `${limited}exec "$0" --config "$1" >>"$2" 2>&1`,
        program("isolated"),
        at("isolated.toml"),
        logFile,
      ];
      daemon = start(command, { env: options.daemonEnvironment ?? {} });
      const started = daemon;
      await eventually("the daemon answers", async () => {
        if (started.exitCode !== null) throw new Error(`the daemon ended: ${world.log()}`);
        return (await isolate(["pool"], { as: root })).code === 0;
      });
    },

    /** Starts another daemon with the same configuration, which must end on its own. */
    secondDaemon: (): Promise<Outcome> => run([program("isolated"), "--config", at("isolated.toml")]),

    /** Ends the daemon and resolves with its exit code. */
    async endDaemon(signal: "SIGTERM" | "SIGKILL"): Promise<number> {
      const ending = daemon;
      if (!ending || ending.exitCode !== null || ending.signalCode !== null) return ending?.exitCode ?? -1;
      const end = finished(ending);
      ending.kill(signal);
      return (await end).code;
    },

    /** A directory for the test's own files: of that user alone, or root's, which all can read. Gone with the world. */
    scratch(owner?: User): string {
      const scratch = at("scratch");
      mkdirSync(scratch);
      chmodSync(scratch, owner ? 0o700 : 0o755);
      if (owner) chownSync(scratch, owner.uid, owner.gid);
      return scratch;
    },

    async leases(): Promise<Lease[]> {
      return JSON.parse((await isolate(["ps", "--json"], { as: root })).stdout) as Lease[];
    },

    async pool(): Promise<PoolStatus> {
      const found = (await pools()).find((one) => one.template === template);
      if (!found) throw new Error(`no pool of ${template}`);
      return found;
    },

    /** Waits until nothing is leased or retired, and the pool is full. */
    settled: (): Promise<PoolStatus> =>
      eventually("the pool is full and nothing is in use", async () => {
        const now = await world.pool();
        return now.ready === now.size && now.leased + now.retired + now.creating === 0 ? now : null;
      }),

    async close(): Promise<void> {
      try {
        for (const { lease } of await world.leases().catch(() => [])) await endLease(world, lease);
        await world.settled().catch(() => undefined);
        await run([program("isolate"), "-r", template, "0"], { env: { ISOLATE_SOCKET: socket } });
        await run([program("isolate"), "template", "rm", template], { env: { ISOLATE_SOCKET: socket } });
        await world.endDaemon("SIGTERM");
      } finally {
        await world.endDaemon("SIGKILL");
        for (const place of [runtime, directory]) {
          for (const mountPoint of mountsBelow(place)) await run(["umount", "-l", "--", mountPoint]);
        }
        if (parent) await run(["zfs", "destroy", "-r", parent]);
        for (const place of [runtime, directory]) {
          if (mountsBelow(place).length === 0) rmSync(place, { recursive: true, force: true });
        }
      }
    },
  };

  try {
    if (parent) await must(["zfs", "create", "-o", "mountpoint=none", parent]);
    if (options.storageMebibytes) await mountImage(at("image"), state, options.storageMebibytes);
    await world.startDaemon();
    if (options.template !== false) {
      if (pool) {
        // As users do it: an existing dataset, with a snapshot made by zfs(8).
        await must(["zfs", "clone", "-o", "mountpoint=legacy", await baseSnapshot(pool), template]);
        await must(["zfs", "snapshot", `${template}@first`]);
      } else {
        const command = ["template", "create", template, "--tar", await debianTar()];
        const created = await isolate(command, { as: root, patience: 900_000 });
        if (created.code !== 0) throw new Error(`template create: ${created.stderr}${world.log()}`);
      }
      const sized = await isolate(["-r", template, String(options.size ?? 3)], { as: root, patience: 300_000 });
      if (sized.code !== 0) throw new Error(`-r: ${sized.stderr}${world.log()}`);
    }
    return world;
  } catch (error) {
    await world.close();
    throw error;
  }
}

/** One unpacked Debian for all worlds of a zpool, since unpacking takes minutes on an emulated processor. */
async function baseSnapshot(zpool: string): Promise<string> {
  const dataset = `${zpool}/debian-base`;
  const snapshot = `${dataset}@whole`;
  if ((await run(["zfs", "list", "-H", snapshot])).code === 0) return snapshot;
  await run(["zfs", "destroy", "-r", dataset]);
  const directory = mkdtempSync(join(tmpdir(), "isolate-base-"));
  await must(["zfs", "create", "-o", "mountpoint=legacy", dataset]);
  await must(["mount", "-t", "zfs", dataset, directory]);
  try {
    await must(["tar", "-C", directory, "-xpf", await debianTar()], { patience: 900_000 });
  } finally {
    await must(["umount", directory]);
    rmSync(directory, { recursive: true });
  }
  await must(["zfs", "snapshot", snapshot]);
  return snapshot;
}

async function endLease(world: World, lease: string): Promise<void> {
  const found = (await world.leases()).find((one) => one.lease === lease);
  if (found && found.pid > 1) await run(["kill", "-KILL", String(found.pid)]);
}

/** Returns the mounts below `directory`, deepest first, as /proc/self/mountinfo names them. */
export function mountsBelow(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path === directory || path.startsWith(`${directory}/`))
    .reverse();
}
