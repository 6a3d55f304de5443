/** Probes the host once for the facts that the plan needs. */

import type { EngineName } from "../../engines/features.ts";
import { IsolateError } from "../../protocol/errors.ts";
import { type HostProgram, missingProgram } from "./host-programs.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";
import type { Bind, RunRequest } from "./options/requests.ts";
import { isWithin, type Look } from "./paths-in-root.ts";
import type { HostFacts, Opened, Source } from "./plan.ts";

/** Not the caller's PATH, because root may be the caller and have `.` in it. */
export const programDirectories = ["/usr/local/bin", "/usr/bin", "/bin"];
export const systemDirectories = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
const initDirectory = "/usr/lib/isolate";
const programs: Readonly<Record<EngineName, HostProgram>> = { bwrap: "bwrap", chroot: "bwrap", lxc: "lxc-start" };

/**
 * Probes the host without changing anything. Throws `missing-program`, `missing-protection`, `bad-bind`, `bad-root`.
 */
export function probeHost(
  request: RunRequest,
  libc: Libc,
  known: Pick<HostFacts, "environment" | "descriptorLimit" | "session" | "privateNetwork">,
): HostFacts {
  const own = ownDirectories(libc);
  const uid = libc.uid();
  const opened = new Map<string, number>();
  const find = finder(uid === 0 ? opened : undefined, libc);
  return {
    ...known,
    uid,
    gid: libc.gid(),
    engine: findProgram(programs[request.engine], libc),
    init: findOwn(request.engine === "lxc" ? "isolate-seccomp" : "isolate-init", libc, own),
    monitor: findOwn("isolate-monitor", libc, own),
    resolvConf: request.network === "none" ? undefined : findIfAny("/etc/resolv.conf", find)?.path,
    scopesSockets: request.network === "host" && libc.scopesSockets(),
    sources: request.binds.map((bind) => findSource(bind, find)),
    directory: "directory" in request.root ? findRoot(request.root.directory, find, libc) : undefined,
    opened,
  };
}

type Find = (path: string, check?: (through: string) => void) => Source;

/** What is at a path: it is opened once, and stays open in `keep`. `check` is told of a path to what was opened. */
function finder(keep: Map<string, number> | undefined, libc: Libc): Find {
  return (from, check = () => undefined) => {
    const fd = libc.openPath(from);
    let kept = false;
    try {
      const path = libc.pathOf(fd);
      const first = keep?.get(path) ?? fd;
      check(`/proc/self/fd/${first}`);
      const kind = libc.kindOfOpened(first) === "directory" ? "directory" : "file";
      kept = keep !== undefined && first === fd;
      keep?.set(path, first);
      return { path, kind };
    } finally {
      if (!kept) libc.close(fd);
    }
  };
}

/** Looks at the host's paths, links not followed; at what is `opened` by its descriptor. */
export function looker(libc: Libc, opened: Opened): Look {
  const longestFirst = [...opened].sort(([one], [other]) => other.length - one.length);
  return (path) => {
    const descriptor = opened.get(path);
    if (descriptor !== undefined) return { kind: libc.kindOfOpened(descriptor) === "directory" ? "directory" : "file" };
    const [above, fd] = longestFirst.find(([one]) => isWithin(path, one)) ?? [];
    const real = above === undefined ? path : `/proc/self/fd/${fd}/${path.slice(above.length)}`;
    const kind = libc.kindOf(real);
    return kind === "link" ? { kind, to: libc.readLink(real) } : { kind };
  };
}

/**
 * Returns the parent's soft descriptor limit, because a runtime raises its own before this code runs. Wrong if a
 * program that then became this process, such as prlimit(1), lowered the limit; the hard limit always holds.
 */
export function parentDescriptorLimit(libc: Libc): number {
  const usual = 1024; // the kernel's INR_OPEN_CUR, for a parent that cannot be inspected
  // A service manager's own limit differs from the limit of its services.
  const parent = libc.parentPid();
  if (parent === 1) return usual;
  const limits = libc.readTextIfAny(`/proc/${parent}/limits`) ?? "";
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? usual : Number(soft);
}

function findProgram(program: HostProgram, libc: Libc): string {
  const found = lookUp(program, libc);
  if (found === undefined) throw missingProgram(program);
  return found;
}

export function lookUp(program: HostProgram, libc: Libc): string | undefined {
  return [...programDirectories, ...systemDirectories]
    .map((directory) => `${directory}/${program}`)
    .find(libc.isExecutable);
}

type Own = "isolate-client" | "isolate-init" | "isolate-monitor" | "isolate-network" | "isolate-seccomp";

/** Returns the directories of isolate's programs: this program's own, and the package's. */
export function ownDirectories(libc: Libc): string[] {
  const executable = realPath("/proc/self/exe", libc) ?? "";
  return [executable.slice(0, executable.lastIndexOf("/")), initDirectory];
}

/** Finds one of isolate's programs. Throws `missing-protection`. */
export function findOwn(name: Own, libc: Libc, directories = ownDirectories(libc)): string {
  const looked = directories.map((directory) => `${directory}/${name}`);
  const found = looked.find(libc.isExecutable);
  if (found !== undefined) return found;
  throw new IsolateError("missing-protection", { what: `${name} is not at ${looked.join(" or ")}` });
}

function findSource(bind: Bind, find: Find): Source {
  const wrong = (why: string) => new IsolateError("bad-bind", { bind: bind.text, wrong: why });
  try {
    return find(bind.from);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    if (error.errno === "ENOENT" || error.errno === "ENOTDIR") throw wrong(`there is no ${bind.from} on the host`);
    throw wrong(`${bind.from}: ${error.errno}`);
  }
}

function findRoot(directory: string, find: Find, libc: Libc): string {
  const wrong = (why: string) => new IsolateError("bad-root", { directory, wrong: why });
  let isRoot = false;
  const look = (through: string): void => {
    try {
      isRoot = ["bin", "usr", "sbin"].some((name) => libc.kindOf(`${through}/${name}`) !== "absent");
    } catch (error) {
      if (error instanceof SystemCallError) throw wrong(`it cannot be looked into: ${error.errno}`);
      throw error;
    }
  };
  const found = findIfAny(directory, (path) => find(path, look));
  if (found === undefined) throw wrong("it does not exist");
  if (found.path === "/") throw wrong("it is the host's own root");
  if (found.kind !== "directory") throw wrong("it is not a directory");
  if (!isRoot) throw wrong("it contains neither bin nor usr");
  return found.path;
}

function findIfAny(path: string, find: Find): Source | undefined {
  try {
    return find(path);
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}

function realPath(path: string, libc: Libc): string | undefined {
  try {
    return libc.realPath(path);
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}
