/**
 * Root as the caller. No process of a sandbox may be the host's root, so the client gives up root before it becomes the
 * engine. First it does what only root can: it opens the host paths to show, and maps the ids of the caller's own paths
 * (files that root inside writes there belong to the host's root). All of this is in a mount namespace of this process.
 */

import type { LaunchSpec } from "../../engines/spec.ts";
import { IsolateError } from "../../protocol/errors.ts";
import type { BaseIds } from "../../protocol/ids.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";
import type { RootCalls } from "./linux/root-calls.ts";
import type { HostFacts, Opened } from "./plan.ts";

/** The ids that the sandbox runs as. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Descriptor of the user namespace in which these ids are 0. */
  readonly userns: number;
}

export interface Tree {
  readonly from: string;
  /** Whether stored host ids must appear as the sandbox's. A clone's view is already mapped by the daemon. */
  readonly mapped: boolean;
  /** Set from outside the sandbox's namespaces, so that nobody inside can make the mount writable. */
  readonly readOnly: boolean;
}

/**
 * Host paths whose stored ids are the host's own and must appear as the sandbox's. Where root chose ids, what is bound
 * is for those to use as they may on the host, and a directory that is theirs already has its ids in place.
 */
export function toBeMapped(
  { sources, directory, opened }: Pick<HostFacts, "sources" | "directory" | "opened">,
  ids: BaseIds | undefined,
  libc: Libc,
): Set<string> {
  const mapped = ids ? [] : sources.map(({ path }) => path);
  if (directory !== undefined && libc.ownerOf(descriptorOf(directory, opened)) !== ids?.uid) mapped.push(directory);
  return new Set(mapped);
}

const staging = "/tmp";

/** Returns the host paths of a spec, and the spec with `staging` paths instead. Pure. */
export function stage(spec: LaunchSpec, mapped: ReadonlySet<string>): { trees: Tree[]; spec: LaunchSpec } {
  const trees: Tree[] = [];
  const staged = (from: string, readOnly = false): string => {
    trees.push({ from, mapped: mapped.has(from), readOnly });
    return `${staging}/${trees.length - 1}`;
  };
  const root = staged(spec.root, spec.readOnly);
  const mounts = spec.mounts.map((mount) =>
    mount.kind === "bind" ? { ...mount, from: staged(mount.from, mount.readOnly) } : mount,
  );
  const init = { ...spec.init, path: staged(spec.init.path) };
  const connection = spec.connection && { ...spec.connection, path: staged(spec.connection.path) };
  return { trees, spec: { ...spec, root, mounts, init, connection, monitor: staged(spec.monitor) } };
}

function descriptorOf(path: string, opened: Opened): number {
  const descriptor = opened.get(path);
  if (descriptor === undefined)
    throw new IsolateError("missing-protection", { what: `${path} was not opened when it was checked` });
  return descriptor;
}

/**
 * Throws `system-call`. Afterwards the `staging` paths of the trees are there, and the host's own /tmp is not. What is
 * `opened` is not looked up again: others may have put something else in its place.
 */
export function attachTrees(
  trees: readonly Tree[],
  { userns, opened }: { readonly userns: number; readonly opened: Opened },
  calls: RootCalls,
  libc: Libc,
): void {
  const mounts = trees.map(({ from, mapped, readOnly }) => {
    const mount = attempt(from, () => calls.cloneTree(opened.get(from) ?? from));
    const directory = attempt(from, () => libc.kindOfOpened(mount)) === "directory";
    if (mapped) attempt(`ids of ${from}`, () => calls.mapIds(mount, userns));
    if (readOnly) attempt(`read-only ${from}`, () => calls.makeReadOnly(mount));
    return { mount, directory };
  });
  attempt("a mount namespace of its own", () => calls.leaveMountNamespace());
  attempt(staging, () => calls.mountTmpfs(staging, "mode=0755,size=1m"));
  mounts.forEach(({ mount, directory }, index) => {
    const target = `${staging}/${index}`;
    attempt(target, () => {
      if (directory) calls.makeDirectory(target);
      else calls.makeFile(target);
      calls.attach(mount, target);
    });
    libc.close(mount);
  });
  for (const descriptor of opened.values()) libc.close(descriptor);
}

/** Gives up root. Throws if this thread still has any of root's rights afterwards. */
export function giveUpRoot({ uid, gid }: Identity, calls: RootCalls, libc: Libc): void {
  if (uid === 0 || gid === 0) throw new IsolateError("missing-protection", { what: "the sandbox would run as root" });
  attempt("identity", () => calls.becomeUser(uid, gid));
  const status = libc.readText("/proc/thread-self/status");
  const line = (name: string): string => new RegExp(`^${name}:(.*)$`, "m").exec(status)?.[1]?.trim() ?? "unknown";
  const wrong =
    line("Uid") !== [uid, uid, uid, uid].join("\t") ||
    line("Gid") !== [gid, gid, gid, gid].join("\t") ||
    line("Groups") !== "" ||
    !["CapPrm", "CapEff", "CapAmb"].every((name) => /^0+$/.test(line(name)));
  if (wrong) throw new IsolateError("missing-protection", { what: "root's rights could not be given up" });
}

function attempt<T>(what: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw new IsolateError("system-call", { call: `${error.call} (${what})`, cause: error.errno }, error);
  }
}
