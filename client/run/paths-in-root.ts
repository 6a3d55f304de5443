/**
 * Where a path leads inside the sandbox, found out without ever following a symbolic link of the root on the host.
 * Bubblewrap before 0.12 follows them when it makes a bind's target, out of the root too (CVE-2026-87766), so every
 * target is given to it as a path that holds no link.
 */

/** What lies at a host path, itself and not what it points to. `file`: anything else. */
export type Entry = { readonly kind: "absent" | "directory" | "file" } | { readonly kind: "link"; readonly to: string };
export type Look = (hostPath: string) => Entry;

/** What the sandbox will see, the innermost mount last. `from` undefined: an empty file system of the engine's. */
export interface Mounted {
  readonly at: string;
  readonly from: string | undefined;
}

export type Resolved =
  | { readonly path: string; readonly kind: "absent" | "directory" | "file" }
  | { readonly wrong: string };

const maximumLinks = 40; // as the kernel's, path_resolution(7)

/** `path` is absolute. Beyond what is absent the rest is taken as it is written. */
export function resolveInRoot(path: string, mounts: readonly Mounted[], look: Look): Resolved {
  const rest = path.split("/").reverse();
  let here: string[] = [];
  let kind: "absent" | "directory" | "file" = "directory";
  let links = 0;
  for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
    if (name === "" || name === ".") continue;
    if (kind === "file") return { wrong: `${join(here)} is not a directory` };
    if (name === "..") {
      here.pop();
      kind = kindOf(seenAt(join(here), mounts, look));
      continue;
    }
    const next = [...here, name];
    const entry: Entry = kind === "absent" ? { kind: "absent" } : seenAt(join(next), mounts, look);
    if (entry.kind !== "link") {
      here = next;
      kind = entry.kind;
      continue;
    }
    if (++links > maximumLinks) return { wrong: "there are too many symbolic links on the way" };
    if (entry.to.startsWith("/")) here = [];
    rest.push(...entry.to.split("/").reverse());
  }
  return { path: join(here), kind };
}

function join(names: readonly string[]): string {
  return `/${names.join("/")}`;
}

/** Of a directory that was already passed, so never a link. */
function kindOf(entry: Entry): "absent" | "directory" | "file" {
  return entry.kind === "link" ? "directory" : entry.kind;
}

/** What is above a mount is there, made for it if need be. */
function seenAt(path: string, mounts: readonly Mounted[], look: Look): Entry {
  const entry = entryAt(path, mounts, look);
  const made = entry.kind === "absent" && mounts.some(({ at }) => isWithin(at, path));
  return made ? { kind: "directory" } : entry;
}

function entryAt(path: string, mounts: readonly Mounted[], look: Look): Entry {
  const mounted = mounts.findLast(({ at }) => isWithin(path, at));
  if (!mounted) return { kind: "absent" };
  const below = mounted.at === "/" ? path : path.slice(mounted.at.length);
  if (mounted.from === undefined) return { kind: below === "" ? "directory" : "absent" };
  return look(below === "" || below === "/" ? mounted.from : `${mounted.from}${below}`);
}

/** Whether `path` is `directory` or below it; both are normal. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || directory === "/" || path.startsWith(`${directory}/`);
}
