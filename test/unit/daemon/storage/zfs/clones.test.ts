/** The driver's actions on the storage, seen in its commands to a zfs(8) that only answers. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { CommandError } from "../../../../../daemon/linux/child-process.ts";
import { createClones } from "../../../../../daemon/storage/zfs/clones.ts";
import { turnsOfThreads } from "../../../../../daemon/storage/zfs/turns.ts";
import type { CloneId, SnapshotName } from "../../../../../protocol/names.ts";

const id = "debian_1763760000000000000" as CloneId;
const dataset = `p/${id}`;
const from = "p/debian@one" as SnapshotName;

function marks(source = "local", store = "s1", on = dataset): string {
  const values = { store, clone: id, template: "p/debian", snapshot: from };
  return Object.entries(values)
    .map(([name, value]) => `${on}\tisolate:${name}\t${value}\t${source}\n`)
    .join("");
}

const failure = (stderr: string) => new CommandError(["zfs"], 1, stderr);

/** Answers by verb; `get` of one dataset is `marks`. */
function clonesWith(answers: Readonly<Record<string, string | Error>>) {
  const commands: string[] = [];
  const zfs = async (args: readonly string[]) => {
    const isOfOne = args[0] === "get" && args.at(-1)?.startsWith("p/");
    const verb = isOfOne ? "marks" : args.at(-1)?.endsWith("@%") ? "destroy all" : (args[0] ?? "");
    commands.push(`${verb} ${args.at(-1)}`);
    const answer = answers[verb] ?? "";
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const mountDirectory = join(tmpdir(), "isolate-unused");
  return {
    clones: createClones({
      zfs,
      pools: async () => ["p"],
      turn: turnsOfThreads(),
      direct: () => undefined,
      store: "s1",
      mountDirectory,
      refquota: "none",
    }),
    commands,
  };
}

const destroys = (commands: readonly string[]) => commands.filter((command) => command.startsWith("destroy"));

test("destroys the dataset that carries the clone's own mark", async () => {
  const { clones, commands } = clonesWith({ get: marks(), marks: marks() });
  await clones.destroy(id);
  expect(destroys(commands)).toEqual([`destroy ${dataset}`]);
});

test("destroys a renamed clone under its new name, and never the dataset that now has its old name", async () => {
  const { clones, commands } = clonesWith({ get: marks("local", "s1", "p/renamed"), marks: "" });
  await clones.destroy(id);
  expect(destroys(commands)).toEqual(["destroy p/renamed"]);
});

test.each([
  ["has no mark", ""],
  ["inherits the mark", marks("inherited from p")],
  ["was received with the mark", marks("received")],
  ["carries another store's mark", marks("local", "s2")],
])("a dataset of the clone's name that %s is never touched", async (_, answer) => {
  const { clones, commands } = clonesWith({ get: answer, marks: answer });
  await clones.destroy(id);
  expect(destroys(commands)).toEqual([]);
});

test("a mark that was removed between listing and destroying is noticed", async () => {
  const answers: Record<string, string> = { get: marks(), marks: marks() };
  const { clones, commands } = clonesWith(answers);
  await clones.list();
  Object.assign(answers, { get: "", marks: "" });
  await clones.destroy(id);
  expect(destroys(commands)).toEqual([]);
});

test("an absent clone is destroyed already", async () => {
  const gone = failure(`cannot open '${dataset}': dataset does not exist\n`);
  await clonesWith({ get: "" }).clones.destroy(id);
  await clonesWith({ get: marks(), marks: marks(), destroy: gone }).clones.destroy(id);
});

test("a clone in use is busy", async () => {
  const busy = failure(`cannot destroy '${dataset}': dataset is busy\n`);
  const { clones } = clonesWith({ get: marks(), marks: marks(), destroy: busy });
  await expect(clones.destroy(id)).rejects.toMatchObject({ code: "clone-busy" });
});

const children = (name: string) =>
  failure(`cannot destroy '${dataset}': filesystem has children
use '-r' to destroy the following datasets:
${name}
`);

test.each([
  ["a dataset below", `${dataset}/mine`, `${dataset}\tno\t-\t-\n${dataset}/mine\tno\t-\t-\n`, "somebody made"],
  ["a clone of its snapshot", "p/theirs", `${dataset}@mine\t-\tp/theirs\t0\n${dataset}@x\t-\t\t0\n`, "somebody made"],
  ["a held snapshot", `${dataset}@mine`, `${dataset}@mine\t-\t\t1\n`, "somebody holds"],
])("%s of a clone is named, and nothing is destroyed", async (_, name, list, says) => {
  const { clones, commands } = clonesWith({ get: marks(), marks: marks(), destroy: children(name), list });
  await expect(clones.destroy(id)).rejects.toMatchObject({
    code: "clone-blocked",
    message: expect.stringMatching(new RegExp(`^cannot destroy the clone '${id}': ${says} ${name}`)),
  });
  expect(destroys(commands)).toEqual([`destroy ${dataset}`]);
});

test("snapshots that nobody needs go with a clone of ours", async () => {
  const answers: Record<string, string | Error> = {
    ...{ get: marks(), marks: marks(), destroy: children(`${dataset}@mine`) },
    list: `${dataset}\tno\t-\t-\n${dataset}@mine\t-\t\t0\n`,
    get "destroy all"() {
      this.destroy = "";
      return "";
    },
  };
  const { clones, commands } = clonesWith(answers);
  await clones.destroy(id);
  expect(destroys(commands)).toEqual([`destroy ${dataset}`, `destroy all ${dataset}@%`, `destroy ${dataset}`]);
});

test("a view of what was destroyed by hand is told from one that cannot be mounted", async () => {
  const answers = { get: marks() };
  const { clones } = clonesWith(answers);
  await clones.list();
  const map = { userns: -1, uid: 1, gid: 1 };
  await expect(clones.view(id, map, "/nowhere")).rejects.toMatchObject({ code: "storage-failed" });
  answers.get = "";
  await expect(clones.view(id, map, "/nowhere")).rejects.toMatchObject({ code: "clone-gone" });
});

test("a clone that cannot be mounted does not stay", async () => {
  const { clones, commands } = clonesWith({});
  // No pool of this name: the mount fails, with or without ZFS in the kernel.
  await expect(clones.clone("isolate-no-such-pool/debian@one" as SnapshotName, id)).rejects.toMatchObject({
    code: "storage-failed",
  });
  expect(destroys(commands)).toEqual([`destroy isolate-no-such-pool/${id}`]);
});

test("a full pool is reported, and nothing is destroyed", async () => {
  const { clones, commands } = clonesWith({ clone: failure(`cannot create '${dataset}': out of space\n`) });
  await expect(clones.clone(from, id)).rejects.toMatchObject({ code: "storage-full" });
  expect(destroys(commands)).toEqual([]);
});

test("a missing snapshot is distinguished from a missing template", async () => {
  const missing = failure("cannot open 'p/debian@one': dataset does not exist\n");
  const { clones } = clonesWith({ clone: missing });
  await expect(clones.clone(from, id)).rejects.toMatchObject({ code: "no-snapshot" });
  const without = clonesWith({ clone: missing, marks: failure("cannot open 'p/debian': dataset does not exist\n") });
  await expect(without.clones.clone(from, id)).rejects.toMatchObject({ code: "unknown-template" });
});

test("a view of a clone that does not exist", async () => {
  const { clones } = clonesWith({});
  await expect(clones.view(id, { userns: 0, uid: 1, gid: 1 }, "/nowhere")).rejects.toMatchObject({
    code: "clone-gone",
    message: `cannot mount the clone '${id}': it is gone from the storage`,
  });
});

test("a mount that is not there is unmounted already", async () => {
  await clonesWith({}).clones.unview(id, join(tmpdir(), "isolate-no-such-directory"));
});
