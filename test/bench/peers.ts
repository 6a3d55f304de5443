/**
 * Other programs that run a command in a fresh writable root over a plain directory, beside ours. They want root, keep
 * records in directories of the system's, and get what they need for the time of a bench: what is made is taken away.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { must, run } from "../support/process.ts";
import { alice, mountsBelow } from "../support/world.ts";
import type { Absence, Figure, Findings } from "./figures.ts";
import { median } from "./figures.ts";
import { type Timed, timeRuns } from "./timing.ts";

interface Peer {
  readonly name: string;
  readonly version: readonly string[];
  /** How many times faster we want to be. */
  readonly goal?: number;
  /** The first that works here is taken. `scratch` is the peer's own directory, and removed with what is mounted in it. */
  forms(root: string, scratch: string): readonly Timed[];
  /** What else it left behind. */
  clean?(): void;
}

const schrootFile = `/etc/schroot/chroot.d/isolate-bench-${process.pid}`;
const cgroups = "/sys/fs/cgroup";

const peers: readonly Peer[] = [
  {
    name: "schroot, union-type=overlay",
    version: ["schroot", "--version"],
    goal: 8,
    forms(root) {
      // It reads no other place, and takes no definition from the command line.
      const lines = ["type=directory", `directory=${root}`, "union-type=overlay", "profile=minimal", "users=root"];
      process.once("exit", () => rmSync(schrootFile, { force: true })); // however this ends
      writeFileSync(schrootFile, `[isolate-bench]\n${lines.join("\n")}\n`);
      return [{ words: ["schroot", "-c", "isolate-bench", "-d", "/", "--", "true"] }];
    },
    clean: () => rmSync(schrootFile, { force: true }),
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

/** Not every runtime works with every arrangement of control groups; podman's own limits may be above the host's. */
function podman(root: string, scratch: string): Timed[] {
  const places = ["--root", join(scratch, "root"), "--runroot", join(scratch, "run"), "--tmpdir", join(scratch, "tmp")];
  const limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
  const run = ["run", "--rm", "--network=none", ...limits, "--rootfs", `${root}:O`, "true"];
  return [[], ["--runtime", "runc"]].map((runtime) => ({
    words: ["podman", ...places, "--events-backend=none", ...runtime, ...run],
  }));
}

const parents = (): string[] =>
  [cgroups, ...(existsSync(cgroups) ? readdirSync(cgroups).map((name) => join(cgroups, name)) : [])]
    .map((directory) => join(directory, "libpod_parent"))
    .filter(existsSync);
const locks = ["/dev/shm/libpod_lock", `/dev/shm/libpod_rootless_lock_${alice.uid}`];
const before = new Set([...parents(), ...locks.filter(existsSync)]);

/** podman leaves its locks, and its parent group in every hierarchy. A group that is in use cannot be removed, and stays. */
function cleanAfterPodman(): void {
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
      // in use by a container of somebody else's
    }
  }
}

/** An ordinary user's podman leaves a process that keeps its user namespace, and writes down which. */
function endPause(scratch: string): void {
  for (const file of ["tmp/pause.pid", "libpod/tmp/pause.pid"].map((name) => join(scratch, name))) {
    if (existsSync(file)) process.kill(Number(readFileSync(file, "utf8")));
  }
}

/** Each peer that runs here against ours, by turns. `directory` gets theirs; `root` is an unpacked root. */
export async function comparePeers(
  ours: Timed,
  { root, directory, rounds, say }: { root: string; directory: string; rounds: number; say(line: string): void },
): Promise<Findings> {
  const absent: Absence[] = [];
  const found: { peer: Peer; form: Timed; version: string }[] = [];
  try {
    for (const [index, peer] of peers.entries()) {
      const scratch = join(directory, `peer${index}`);
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
    for (const [index, peer] of peers.entries()) {
      peer.clean?.();
      endPause(join(directory, `peer${index}`));
      await removeTree(join(directory, `peer${index}`));
    }
  }
}

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

async function removeTree(directory: string): Promise<void> {
  for (const mountPoint of mountsBelow(directory)) await run(["umount", "-l", "--", mountPoint]);
  if (mountsBelow(directory).length === 0) rmSync(directory, { recursive: true, force: true });
}
