/** Looks at the host once: everything that the plan needs to know and cannot ask for itself. */
import { accessSync, constants, lstatSync, readFileSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { IsolateError } from "../daemon/protocol/errors.ts";
import type { Entry } from "./in-root.ts";
import type { Libc } from "./libc.ts";
import type { Bind, RunRequest } from "./options.ts";
import type { HostFacts, Source } from "./plan.ts";

/** Not the caller's PATH: root may be the caller, and `.` in it. */
const programDirectories = ["/usr/local/bin", "/usr/bin", "/bin"];
const initDirectory = "/usr/lib/isolate";

/** Throws `missing-program`, `missing-protection`, `bad-bind`, `bad-root`. Touches nothing. */
export function probeHost(request: RunRequest, libc: Libc, environment: HostFacts["environment"]): HostFacts {
  return {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    engine: findProgram("bwrap", "bubblewrap"),
    init: findInit(),
    foreground: isForeground(libc),
    resolvConf: realPath("/etc/resolv.conf"),
    environment,
    sources: request.binds.map(findSource),
    directory: "directory" in request.root ? findRoot(request.root.directory) : undefined,
  };
}

/** What lies at that path of the host, a link not followed. */
export function look(path: string): Entry {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return { kind: "absent" };
  if (stat.isSymbolicLink()) return { kind: "link", to: readlinkSync(path) };
  return { kind: stat.isDirectory() ? "directory" : "file" };
}

/** The soft limit of descriptors that our parent has, and we had before the runtime raised it. */
export function parentDescriptorLimit(): number {
  const usual = 1024; // the kernel's own INR_OPEN_CUR, for a parent that cannot be seen
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${process.ppid}/limits`, "utf8"))?.[1];
    return soft === undefined ? usual : Number(soft);
  } catch {
    return usual;
  }
}

function findProgram(program: string, debianPackage: string): string {
  const found = programDirectories.map((directory) => `${directory}/${program}`).find(isExecutable);
  if (found === undefined) throw new IsolateError("missing-program", { program, package: debianPackage });
  return found;
}

/** Beside the executable, or where the package puts it. */
function findInit(): string {
  const looked = [dirname(realPath("/proc/self/exe") ?? "/"), initDirectory].map(
    (directory) => `${directory}/isolate-init`,
  );
  const found = looked.find(isExecutable);
  if (found === undefined)
    throw new IsolateError("missing-protection", { what: `isolate-init is not at ${looked.join(" or ")}` });
  return found;
}

/** Whether Ctrl-C will reach us: the first of the standard descriptors that is our terminal decides. */
function isForeground(libc: Libc): boolean {
  return [0, 1, 2].map((fd) => libc.isForeground(fd)).find((answer) => answer !== undefined) ?? false;
}

function findSource(bind: Bind): Source {
  const wrong = (why: string) => new IsolateError("bad-bind", { bind: bind.text, wrong: why });
  try {
    const path = realpathSync(resolve(bind.from));
    return { path, kind: statSync(path).isDirectory() ? "directory" : "file" };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") throw wrong(`there is no ${bind.from} on the host`);
    throw wrong(`${bind.from}: ${code}`);
  }
}

function findRoot(directory: string): string {
  const wrong = (why: string) => new IsolateError("bad-root", { directory, wrong: why });
  const path = realPath(resolve(directory));
  if (directory === "" || path === undefined) throw wrong("it does not exist");
  if (path === "/") throw wrong("it is the host's own root");
  if (!statSync(path).isDirectory()) throw wrong("it is not a directory");
  if (!["bin", "usr", "sbin"].some((name) => look(`${path}/${name}`).kind !== "absent"))
    throw wrong("it holds no bin and no usr");
  return path;
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
