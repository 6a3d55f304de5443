/** Probes the host once for the facts that the plan needs. */

import type { EngineName } from "../../engines/features.ts";
import { IsolateError } from "../../protocol/errors.ts";
import { type HostProgram, missingProgram } from "./host-programs.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";
import type { Bind, RunRequest } from "./options/options.ts";
import type { Look } from "./paths-in-root.ts";
import type { HostFacts, Source } from "./plan.ts";

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
  return {
    ...known,
    uid: libc.uid(),
    gid: libc.gid(),
    engine: findProgram(programs[request.engine], libc),
    init: findOwn(request.engine === "lxc" ? "isolate-seccomp" : "isolate-init", libc, own),
    monitor: findOwn("isolate-monitor", libc, own),
    resolvConf: request.network === "none" ? undefined : realPath("/etc/resolv.conf", libc),
    scopesSockets: request.network === "host" && libc.scopesSockets(),
    sources: request.binds.map((bind) => findSource(bind, libc)),
    directory: "directory" in request.root ? findRoot(request.root.directory, libc) : undefined,
  };
}

/** Looks at the host's paths, links not followed. */
export function looker(libc: Libc): Look {
  return (path) => {
    const kind = libc.kindOf(path);
    return kind === "link" ? { kind, to: libc.readLink(path) } : { kind };
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

function findSource(bind: Bind, libc: Libc): Source {
  const wrong = (why: string) => new IsolateError("bad-bind", { bind: bind.text, wrong: why });
  try {
    const path = libc.realPath(bind.from);
    return { path, kind: libc.kindOf(path) === "directory" ? "directory" : "file" };
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    if (error.errno === "ENOENT" || error.errno === "ENOTDIR") throw wrong(`there is no ${bind.from} on the host`);
    throw wrong(`${bind.from}: ${error.errno}`);
  }
}

function findRoot(directory: string, libc: Libc): string {
  const wrong = (why: string) => new IsolateError("bad-root", { directory, wrong: why });
  const path = realPath(directory, libc);
  if (path === undefined) throw wrong("it does not exist");
  if (path === "/") throw wrong("it is the host's own root");
  if (libc.kindOf(path) !== "directory") throw wrong("it is not a directory");
  if (["bin", "usr", "sbin"].every((name) => libc.kindOf(`${path}/${name}`) === "absent")) {
    throw wrong("it holds no bin and no usr");
  }
  return path;
}

function realPath(path: string, libc: Libc): string | undefined {
  try {
    return libc.realPath(path);
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}
