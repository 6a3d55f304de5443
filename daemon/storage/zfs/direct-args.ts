/** The driver's requests in the form of libzfs_core: numbers for words, and a program for several clones. */
import { type CloneRequest, cloneProperties, mark } from "./args.ts";
import type { PropertyValue } from "./library.ts";

/** The kernel's indices, from `zfs_prop.c` of OpenZFS 2.2 to 2.4. */
const switched: Readonly<Record<string, bigint>> = { off: 0n, on: 1n };
const indices: Readonly<Record<string, Readonly<Record<string, bigint>>>> = {
  readonly: switched,
  setuid: switched,
  devices: switched,
  exec: switched,
  atime: switched,
  relatime: switched,
  acltype: { off: 0n, posix: 1n, nfsv4: 2n },
  // `on` used to mean `dir`, and now means `sa`.
  xattr: { off: 0n, dir: 1n, sa: 2n },
  sync: { standard: 0n, always: 1n, disabled: 2n },
  compression: { on: 1n, off: 2n, lz4: 15n },
  logbias: { latency: 0n, throughput: 1n },
  primarycache: { none: 0n, metadata: 1n, all: 2n },
  secondarycache: { none: 0n, metadata: 1n, all: 2n },
};
const quantities = new Set(["refquota", "recordsize", "special_small_blocks"]);

/** Returns a clone's properties in the kernel's terms; `undefined` if the number of a word is unknown. */
export function directProperties(request: CloneRequest): Record<string, PropertyValue> | undefined {
  const values = Object.entries(cloneProperties(request)).map(
    ([name, word]) => [name, inKernelTerms(name, word)] as const,
  );
  if (values.some(([, value]) => value === undefined)) return undefined;
  return Object.fromEntries(values) as Record<string, PropertyValue>;
}

function inKernelTerms(name: string, word: string): PropertyValue | undefined {
  if (name === "mountpoint" || name.includes(":")) return word;
  return quantities.has(name) ? bytesOf(word) : indices[name]?.[word];
}

/** `5G` -> 5368709120; `undefined` for anything else. */
function bytesOf(text: string): bigint | undefined {
  const [, digits, unit = ""] = /^([0-9]+)([KMGTP]?)$/.exec(text) ?? [];
  return digits === undefined ? undefined : BigInt(digits) << BigInt(10 * " KMGTP".indexOf(unit || " "));
}

export interface MarkedClone {
  readonly dataset: string;
  readonly id: string;
  readonly store: string;
}

/** The outcome for a clone: destroyed; absent or not ours; in use; or another obstacle. */
export type Destroyed = "destroyed" | "absent" | "busy" | "failed";

/**
 * A channel program that destroys each dataset that carries the marks itself (a property's source is then its own name).
 * Its snapshots go with it, all or none: one that is held or has clones keeps the others and the dataset. Nothing else is
 * destroyed. No other change of the pool comes between the look and the deed.
 */
export const destroyMarked = `
local function own(dataset, property)
  local value, source = zfs.get_prop(dataset, property)
  return source == dataset and value or ""
end
local function destroy(dataset)
  for _ in zfs.list.children(dataset) do return "blocked" end
  local snapshots = {}
  for snapshot in zfs.list.snapshots(dataset) do
    if zfs.check.destroy(snapshot) ~= 0 then return "blocked" end
    snapshots[#snapshots + 1] = snapshot
  end
  for _, snapshot in ipairs(snapshots) do
    if zfs.sync.destroy(snapshot) ~= 0 then return "blocked" end
  end
  return tostring(zfs.sync.destroy(dataset))
end
local answers = {}
for dataset, marks in pairs(...) do
  local answer = "absent"
  if zfs.exists(dataset) and own(dataset, "${mark.store}") .. " " .. own(dataset, "${mark.clone}") == marks then
    answer = destroy(dataset)
  end
  answers[#answers + 1] = dataset .. "\\t" .. answer
end
return table.concat(answers, "\\n")
`;

export function destroyArguments(clones: readonly MarkedClone[]): Record<string, string> {
  return Object.fromEntries(clones.map(({ dataset, store, id }) => [dataset, `${store} ${id}`]));
}

const EBUSY = "16";

/** Parses the program's result, by dataset. */
export function parseDestroyed(answer: string): Map<string, Destroyed> {
  const meaning: Readonly<Record<string, Destroyed>> = { "0": "destroyed", absent: "absent", [EBUSY]: "busy" };
  const lines = answer.split("\n").map((line) => line.split("\t"));
  return new Map(lines.map(([dataset = "", said = ""]) => [dataset, meaning[said] ?? "failed"]));
}
