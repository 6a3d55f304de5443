/**
 * Other programs that run a command in a fresh writable root over a plain directory, compared with ours. They require
 * root and keep records in system directories. They are configured only for the bench; all that was made is removed.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { must, run } from "../support/process.ts";
import { alice } from "../support/world.ts";
import type { Absence, Figure, Findings } from "./figures.ts";
import { median } from "./figures.ts";
import { endProcess, type Place, removeWithMounts } from "./place.ts";
import { type Timed, timeRuns } from "./timing.ts";

interface Peer {
  readonly name: string;
  readonly version: readonly string[];
  /** The goal: how many times faster isolate is. */
  readonly goal?: number;
  /** The first form that works here is used. `scratch` is the peer's directory; it is removed with its mounts. */
  forms(root: string, scratch: string): readonly Timed[];
  /** Removes everything else that the peer left behind, interrupted or not. */
  clean?(scratch: string): void;
}

const schrootName = `isolate-bench-${process.pid}`;
const schrootFile = `/etc/schroot/chroot.d/${schrootName}`;
const cgroups = "/sys/fs/cgroup";

const peers: readonly Peer[] = [
  {
    name: "schroot, union-type=overlay",
    version: ["schroot", "--version"],
    goal: 8,
    forms(root, scratch) {
      // schroot reads no other directory, and accepts no definition on the command line.
      const union = ["union-type=overlay", `union-overlay-directory=${scratch}`];
      const lines = ["type=directory", `directory=${root}`, ...union, "profile=minimal", "users=root"];
      writeFileSync(schrootFile, `[${schrootName}]\n${lines.join("\n")}\n`);
      return [{ words: ["schroot", "-c", schrootName, "-d", "/", "--", "true"] }];
    },
    clean: cleanAfterSchroot,
  },
  {
    name: "systemd-nspawn --volatile=overlay",
    version: ["systemd-nspawn", "--version"],
    goal: 5,
    forms: (root) => [
      {
        words: [
          ...["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network"],
          ...["--volatile=overlay", "-D", root, "true"],
        ],
      },
    ],
  },
  {
    name: "podman --rootfs ROOT:O, by root",
    version: ["podman", "--version"],
    goal: 8,
    forms: (root, scratch) => podman(root, scratch),
    clean: cleanAfterPodman,
  },
  {
    name: "podman --rootfs ROOT:O, by an ordinary user",
    version: ["podman", "--version"],
    forms: (root, scratch) =>
      podman(root, scratch).map(({ words }) => ({
        words,
        as: alice,
        env: { HOME: scratch, XDG_RUNTIME_DIR: scratch },
      })),
    clean: cleanAfterPodman,
  },
];

/** Not every runtime works with every cgroup layout; podman's own limits may exceed the host's. */
function podman(root: string, scratch: string): Timed[] {
  const places = ["--root", join(scratch, "root"), "--runroot", join(scratch, "run"), "--tmpdir", join(scratch, "tmp")];
  const limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
  const run = ["run", "--rm", "--network=none", ...limits, "--rootfs", `${root}:O`, "true"];
  return [[], ["--runtime", "runc"]].map((runtime) => ({
    words: [
      "podman",
      ...places,
      "--runtime-flag",
      `root=${join(scratch, "runtime")}`,
      "--events-backend=none",
      ...runtime,
      ...run,
    ],
  }));
}

const parents = (): string[] =>
  [cgroups, ...(existsSync(cgroups) ? readdirSync(cgroups).map((name) => join(cgroups, name)) : [])]
    .map((directory) => join(directory, "libpod_parent"))
    .filter(existsSync);
const locks = ["/dev/shm/libpod_lock", `/dev/shm/libpod_rootless_lock_${alice.uid}`];
const before = new Set([...parents(), ...locks.filter(existsSync)]);

/** Ends sessions: an interrupted one stays until it is ended. */
function cleanAfterSchroot(): void {
  if (!existsSync(schrootFile)) return;
  const list = execFileSync("schroot", ["--list", "--all-sessions"], { encoding: "utf8" });
  for (const session of list.split("\n").filter((name) => name.startsWith(`session:${schrootName}-`))) {
    execFileSync("schroot", ["--end-session", "--force", "-c", session], { stdio: "ignore" });
  }
  rmSync(schrootFile);
}

/** podman leaves its locks, and its parent cgroup in every hierarchy. A cgroup in use cannot be removed and stays. */
function cleanAfterPodman(scratch: string): void {
  endPause(scratch);
  for (const lock of locks) if (!before.has(lock)) rmSync(lock, { force: true });
  const remove = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) remove(join(directory, entry.name));
    }
    rmdirSync(directory);
  };
  for (const parent of parents().filter((path) => !before.has(path))) {
    try {
      remove(parent);
    } catch {
      // in use by another user's container
    }
  }
}

/** Rootless podman leaves a process that keeps its user namespace, and records its pid. */
function endPause(scratch: string): void {
  for (const file of ["tmp/pause.pid", "libpod/tmp/pause.pid"].map((name) => join(scratch, name))) {
    if (existsSync(file)) endProcess(Number(readFileSync(file, "utf8")), "SIGTERM");
  }
}

/** Compares peers that run here with isolate, in turns. `directory` holds their files; `root` is an unpacked root. */
export async function comparePeers(
  ours: Timed,
  { root, directory, rounds, say }: { root: string; directory: string; rounds: number; say(line: string): void },
): Promise<Findings> {
  const absent: Absence[] = [];
  const found: { peer: Peer; form: Timed; version: string }[] = [];
  try {
    for (const [index, peer] of peers.entries()) {
      const scratch = scratchOf(directory, index);
      const outcome = await workingForm(peer, root, scratch);
      if ("why" in outcome) absent.push({ what: peer.name, why: outcome.why });
      else found.push({ peer, ...outcome });
    }
    say(`${rounds} rounds of ours and of: ${found.map(({ peer }) => peer.name).join(", ")}`);
    const [own = [], ...theirs] = await timeRuns([ours, ...found.map(({ form }) => form)], rounds);
    const figures = found.flatMap(({ peer, form, version }, index): Figure[] => {
      const command = form.words.map((word) => word.replace(root, "ROOT").replace(directory, "DIR")).join(" ");
      const times = theirs[index] ?? [];
      const { goal } = peer;
      return [
        {
          what: `how many times faster a run is than ${peer.name}`,
          value: median(times) / median(own),
          unit: "times",
          ...(goal === undefined ? {} : { goal: { atLeast: goal } }),
          command,
        },
        { what: `${peer.name} (${version})`, value: median(times), unit: "ms", command },
      ];
    });
    return { figures, absent };
  } finally {
    cleanAfterPeers({ disk: directory });
  }
}

/** Removes the peers' files, however far their setup has come. */
export function cleanAfterPeers({ disk }: Pick<Place, "disk">): void {
  for (const [index, { clean }] of peers.entries()) {
    clean?.(scratchOf(disk, index));
    removeWithMounts(scratchOf(disk, index));
  }
}

const scratchOf = (directory: string, index: number): string => join(directory, `peer${index}`);

async function workingForm(
  { version, forms }: Peer,
  root: string,
  scratch: string,
): Promise<{ form: Timed; version: string } | { why: string }> {
  const [program = ""] = version;
  const told = await run(version).catch(() => undefined);
  if (told?.code !== 0) return { why: `${program} is not installed (npm run bench -- --setup)` };
  mkdirSync(scratch, { recursive: true });
  await must(["chown", String(alice.uid), scratch]);
  let why = "";
  for (const form of forms(root, scratch)) {
    const { code, stderr } = await run(form.words, { ...form, env: form.env ?? {} });
    if (code === 0) return { form, version: told.stdout.split("\n")[0]?.trim() ?? "" };
    const lines = stderr.trim().split("\n");
    why = `it ends with ${code}: ${lines.at(-1)}`;
  }
  return { why };
}
