/**
 * Resolves paths of the sandbox without following a symbolic link of the root on the host. Bubblewrap before 0.12
 * follows such links when it makes a bind's target, even out of the root (CVE-2026-87766), so each target is passed to
 * it as a path without links.
 */

/** The entry at a host path; a link is not followed. `file`: anything else. */
export type Entry = { readonly kind: "absent" | "directory" | "file" } | { readonly kind: "link"; readonly to: string };
export type Look = (hostPath: string) => Entry;

/**
 * A mount of the sandbox; the innermost mount is last. `from` is `undefined` for an empty file system of the engine.
 */
export interface Mounted {
  readonly at: string;
  readonly from: string | undefined;
}

export type Resolved =
  | { readonly path: string; readonly kind: "absent" | "directory" | "file" }
  | { readonly wrong: string };

const maximumLinks = 40; // the kernel's limit, path_resolution(7)

/** Resolves an absolute path. Below an absent entry, the rest of the path is used as written. */
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

/** Returns the kind of a directory that was already passed, so it is never a link. */
function kindOf(entry: Entry): "absent" | "directory" | "file" {
  return entry.kind === "link" ? "directory" : entry.kind;
}

/** Directories above a mount always exist: they are made for it if necessary. */
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
