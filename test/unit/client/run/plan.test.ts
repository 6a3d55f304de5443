import { describe, expect, test } from "@jest/globals";
import type { RunRequest } from "../../../../client/run/options/requests.ts";
import type { Entry } from "../../../../client/run/paths-in-root.ts";
import { type HostFacts, plan, type Root, usualCapabilities, usualPrivileges } from "../../../../client/run/plan.ts";
import { IsolateError } from "../../../../protocol/errors.ts";
import { initSpec, runRequest } from "../../../support/specs.ts";

const request = runRequest();
const facts: HostFacts = {
  uid: 1000,
  gid: 1000,
  engine: "/usr/bin/bwrap",
  init: "/usr/lib/isolate/isolate-init",
  monitor: "/usr/lib/isolate/isolate-monitor",
  resolvConf: "/run/resolv.conf",
  scopesSockets: true,
  privateNetwork: undefined,
  descriptorLimit: 1024,
  session: undefined,
  environment: {},
  sources: [],
  opened: new Map(),
  directory: undefined,
};
const root: Root = {
  path: "/view",
  name: "debian_1",
  userns: 5,
  lease: 4,
  monitor: 7,
  filter: undefined,
  privileges: usualPrivileges,
};
const plainRoot = {
  "/view": "d",
  "/view/etc": "d",
  "/view/home": "d",
  "/view/tmp": "d",
  "/view/dev": "d",
  "/view/proc": "d",
};

function looker(entries: Record<string, string>): (path: string) => Entry {
  return (path) => {
    const entry = { ...plainRoot, ...entries }[path];
    if (entry === undefined) return { kind: "absent" };
    return entry === "d"
      ? { kind: "directory" }
      : entry === "f"
        ? { kind: "file" }
        : { kind: "link", to: entry.slice(3) };
  };
}

interface Case {
  readonly request?: Partial<RunRequest>;
  readonly facts?: Partial<HostFacts>;
  readonly root?: Partial<Root>;
  readonly entries?: Record<string, string>;
}
const planned = (it: Case = {}) =>
  plan({ ...request, ...it.request }, { ...facts, ...it.facts }, { ...root, ...it.root }, looker(it.entries ?? {}));

function refusal(it: Case): IsolateError {
  try {
    planned(it);
  } catch (error) {
    if (error instanceof IsolateError) return error;
    throw error;
  }
  throw new Error("planned");
}

/** `/src` is a directory, `/file` a file. */
function bound(
  to: string,
  options: { from?: "/src" | "/file"; entries?: Record<string, string>; network?: "host" } = {},
): Case {
  const from = options.from ?? "/src";
  return {
    request: { binds: [{ from, to, readOnly: false, text: `${from}:${to}` }], network: options.network ?? "none" },
    facts: { sources: [{ path: from, kind: from === "/src" ? "directory" : "file" }] },
    entries: options.entries ?? {},
  };
}

const tmpfs = [
  { kind: "tmpfs", to: "/tmp", mode: 0o1777 },
  { kind: "tmpfs", to: "/home", mode: 0o755 },
  { kind: "tmpfs", to: "/dev/shm", mode: 0o1777 },
];

describe("plan", () => {
  test("a minimal run", () => {
    expect(planned()).toEqual({
      root: "/view",
      readOnly: false,
      mounts: tmpfs,
      environment: {
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        HOME: "/root",
        USER: "root",
        LOGNAME: "root",
      },
      workingDirectory: "/",
      hostname: "debian_1",
      network: "none",
      connection: undefined,
      userns: 5,
      capabilities: usualCapabilities,
      init: initSpec({
        path: "/usr/lib/isolate/isolate-init",
        monitorDescriptor: 7,
        machineId: true,
      }),
      monitor: "/usr/lib/isolate/isolate-monitor",
      newSession: false,
      command: ["true"],
    });
  });

  test("exactly these capabilities", () => {
    expect(usualCapabilities.join(" ")).toBe(
      "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_SETFCAP " +
        "CAP_SYS_CHROOT CAP_MKNOD CAP_NET_BIND_SERVICE CAP_NET_RAW CAP_AUDIT_WRITE",
    );
  });

  test("only the terminal, language and time zone of the caller's environment", () => {
    const callers = {
      TERM: "xterm",
      COLORTERM: "truecolor",
      LANG: "C",
      LC_TIME: "de",
      LC_: "x",
      TZ: "UTC",
      NO_COLOR: "1",
      LANGUAGE: undefined,
      PATH: "/evil",
      HOME: "/home/me",
      LD_PRELOAD: "/evil.so",
      SSH_AUTH_SOCK: "/agent",
      XTERM: "x",
      TERMINFO: "x",
    };
    expect(
      planned({ facts: { environment: callers }, request: { variables: { TZ: "CET", LD_PRELOAD: "mine" } } })
        .environment,
    ).toEqual({
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/root",
      USER: "root",
      LOGNAME: "root",
      COLORTERM: "truecolor",
      LANG: "C",
      LC_TIME: "de",
      NO_COLOR: "1",
      TERM: "xterm",
      TZ: "CET",
      LD_PRELOAD: "mine",
    });
  });

  test("the hostname fits into sethostname(2)", () => {
    expect(planned({ root: { name: "a".repeat(100) } }).hostname).toBe("a".repeat(64));
    expect(planned({ root: { name: "my root\n" } }).hostname).toBe("my-root-");
    expect(planned({ root: { name: "" } }).hostname).toBe("isolate");
  });
});

describe("binds", () => {
  test("in order, after the tmpfs, which hide the root's own content", () => {
    expect(planned(bound("/home/me/src", { entries: { "/view/home/me": "-> /etc" } })).mounts).toEqual([
      ...tmpfs,
      { kind: "directory", to: "/home/me" },
      { kind: "bind", from: "/src", source: "directory", to: "/home/me/src", readOnly: false },
    ]);
  });

  test("through a link in the root to its destination in the root", () => {
    const entries = { "/view/data": "-> /oldroot/etc", "/view/srv": "-> home" };
    expect(planned(bound("/data/x", { entries })).mounts.at(-1)).toMatchObject({ to: "/oldroot/etc/x" });
    expect(planned(bound("/srv/x", { entries })).mounts.at(-1)).toMatchObject({ to: "/home/x" });
  });

  test.each(["/", "/proc", "/proc/sys", "/dev", "/dev/pts/1", "/dev/fd/3", "/dev/isolate-init", "/x/../dev", "/dev//"])(
    "%s belongs to the sandbox",
    (to) => {
      expect(refusal(bound(to)).message).toContain("belongs to the sandbox itself");
    },
  );

  test("a link does not lead there either", () => {
    for (const to of ["/proc/self/root", "/dev", "../..", "/dev/fd/5"]) {
      expect(refusal(bound("/data", { entries: { "/view/data": `-> ${to}` } })).code).toBe("bad-bind");
    }
  });

  test("a directory on a file, and a file on a directory", () => {
    expect(refusal(bound("/etc/passwd", { entries: { "/view/etc/passwd": "f" } })).message).toContain(
      "/src is a directory, but /etc/passwd in the root filesystem is a file",
    );
    expect(refusal(bound("/etc", { from: "/file" })).code).toBe("bad-bind");
    expect(planned(bound("/etc/new", { from: "/file" })).mounts.at(-1)).toMatchObject({
      from: "/file",
      to: "/etc/new",
    });
  });

  test("a bind below another bind is resolved in the content of the first", () => {
    const entries = { "/src": "d", "/src/link": "-> /etc", "/view/mnt/link": "f" };
    const { mounts } = planned({
      request: {
        binds: [
          { from: "/src", to: "/mnt", readOnly: false, text: "" },
          { from: "/src", to: "/mnt/link/x", readOnly: true, text: "" },
        ],
      },
      facts: {
        sources: [
          { path: "/src", kind: "directory" },
          { path: "/src", kind: "directory" },
        ],
      },
      entries,
    });
    expect(mounts.slice(tmpfs.length)).toEqual([
      { kind: "bind", from: "/src", source: "directory", to: "/mnt", readOnly: false },
      { kind: "bind", from: "/src", source: "directory", to: "/etc/x", readOnly: true },
    ]);
  });
});

describe("resolv.conf", () => {
  test("only with the host's network, read-only, at the destination of the root's link, before the user's binds", () => {
    const entries = { "/view/etc/resolv.conf": "-> ../run/systemd/resolve/stub-resolv.conf" };
    expect(planned(bound("/mnt", { entries, network: "host" })).mounts).toEqual([
      ...tmpfs,
      { kind: "directory", to: "/run/systemd/resolve" },
      {
        kind: "bind",
        from: "/run/resolv.conf",
        source: "file",
        to: "/run/systemd/resolve/stub-resolv.conf",
        readOnly: true,
      },
      { kind: "bind", from: "/src", source: "directory", to: "/mnt", readOnly: false },
    ]);
    expect(planned({ entries }).mounts).toEqual(tmpfs);
    expect(planned({ request: { network: "host" }, facts: { resolvConf: undefined } }).mounts).toEqual(tmpfs);
  });
});

describe("a read-only root", () => {
  const readOnly = (it: Case = {}): Case => ({ ...it, request: { ...it.request, readOnly: true } });

  test("keeps its writable places, and accepts binds on existing targets", () => {
    expect(planned(readOnly())).toMatchObject({ readOnly: true, mounts: tmpfs });
    const onto = readOnly(bound("/mnt", { entries: { "/view/mnt": "d" } }));
    expect(planned(onto).mounts.at(-1)).toMatchObject({ to: "/mnt", readOnly: false });
    expect(planned(readOnly(bound("/tmp/new"))).mounts.at(-1)).toMatchObject({ to: "/tmp/new" });
  });

  test("refuses binds on missing targets: the engine could not make them", () => {
    for (const to of ["/new", "/etc/new/deeper"])
      expect(refusal(readOnly(bound(to))).message).toBe(
        `cannot bind '/src:${to}': ${to} does not exist, and / is read-only`,
      );
    const two = bound("/home/x");
    const ro = { from: "/src", to: "/home/x", readOnly: true, text: "/src:/home/x:ro" };
    const into = { from: "/src", to: "/home/x/new", readOnly: false, text: "/src:/home/x/new" };
    const sources = [{ path: "/src", kind: "directory" } as const, { path: "/src", kind: "directory" } as const];
    const both = { request: { ...two.request, binds: [ro, into] }, facts: { sources } };
    expect(refusal(both).message).toContain("/home/x/new does not exist, and /home/x is read-only");
  });

  test.each(["/home", "/proc", "/dev"])("needs its %s", (place) => {
    const { [`/view${place}` as keyof typeof plainRoot]: _gone, ...rest } = plainRoot;
    const look = (path: string): Entry => ({ kind: path in rest ? "directory" : "absent" });
    const plan_ = (only: boolean) => plan({ ...request, readOnly: only }, facts, root, look);
    expect(() => plan_(true)).toThrow(
      `cannot use '/view' as a root filesystem: its ${place} is missing, and it is read-only`,
    );
    expect(() => plan_(false)).not.toThrow();
  });
});

test("only a clone for this run gets a machine id", () => {
  const given = (it: Case): boolean => planned(it).init.machineId;
  expect(given({})).toBe(true);
  expect(given({ request: { readOnly: true } })).toBe(false);
  expect(given({ request: { root: { directory: "/d" } } })).toBe(false);
  expect(given({ request: { root: { template: "debian", edit: true } } })).toBe(false);
});

describe("networks", () => {
  const connection = { path: "/usr/lib/isolate/isolate-network", argv: ["--socket", "7"], descriptors: [7] };
  const privateNetwork = { connection, socket: 8, resolvConf: 9 };
  const apart = { request: { network: "private" }, facts: { privateNetwork } } as const;

  test("a private network: connected before the command starts, with its own resolv.conf, and no raw packets", () => {
    const { init, mounts, capabilities: given, ...spec } = planned(apart);
    expect(spec).toMatchObject({ network: "private", connection });
    expect(init).toMatchObject({ networkDescriptor: 8, noAbstractSockets: false });
    expect(mounts.slice(tmpfs.length)).toEqual([{ kind: "data", descriptor: 9, to: "/etc/resolv.conf" }]);
    expect(given).toEqual(usualCapabilities.filter((name) => name !== "CAP_NET_RAW"));
  });

  test("the user's resolv.conf replaces it", () => {
    const { request: binds, facts: sources } = bound("/etc/resolv.conf", { from: "/file", entries: { "/file": "f" } });
    const { mounts } = planned({
      request: { ...binds, ...apart.request },
      facts: { ...sources, ...apart.facts },
      entries: { "/run/resolv.conf": "f", "/view/etc": "d" },
    });
    expect(mounts.at(-1)).toMatchObject({ kind: "bind", from: "/file", to: "/etc/resolv.conf" });
  });

  test("abstract sockets are blocked with the host's network, unless they are allowed or the kernel cannot", () => {
    const closed = (it: Case) => planned(it).init.noAbstractSockets;
    expect(closed({ request: { network: "host" } })).toBe(true);
    expect(closed({ request: { network: "host", abstractSockets: true } })).toBe(false);
    expect(closed({ request: { network: "host" }, facts: { scopesSockets: false } })).toBe(false);
    expect(closed({})).toBe(false);
  });
});

describe("the working directory", () => {
  const at = (workingDirectory: string, entries = {}) => ({ request: { workingDirectory }, entries });
  test("a directory in the root, or made by a bind", () => {
    expect(planned(at("/etc")).workingDirectory).toBe("/etc");
    const bind = bound("/src", { entries: { "/src": "d" } });
    expect(planned({ ...bind, request: { ...bind.request, workingDirectory: "/src" } }).workingDirectory).toBe("/src");
  });
  test("in the engine's file systems, which cannot be checked from here", () => {
    expect(planned(at("/proc/self")).workingDirectory).toBe("/proc/self");
  });
  test("not elsewhere, and not a file", () => {
    expect(refusal(at("/nonexistent")).message).toBe(
      "cannot start in '/nonexistent' of the root filesystem: it does not exist",
    );
    expect(refusal(at("/etc/passwd", { "/view/etc/passwd": "f" })).message).toContain("it is not a directory");
  });
});

describe("a root that cannot be used", () => {
  test.each([
    ["/view/dev", "-> /oldroot/dev"],
    ["/view/proc", "-> /etc"],
    ["/view/proc", "f"],
    ["/view/tmp", "f"],
    ["/view/home", "-> /proc"],
    ["/view/home", "-> /"],
    ["/view/tmp", "-> tmp"],
  ])("%s is %s", (path, entry) => {
    expect(refusal({ entries: { [path]: entry } }).code).toBe("bad-root");
  });

  test("a link /home is resolved", () => {
    expect(planned({ entries: { "/view/home": "-> usr/home" } }).mounts[1]).toEqual({
      kind: "tmpfs",
      to: "/usr/home",
      mode: 0o755,
    });
  });
});

describe("the parts of the session that are shown", () => {
  const session = {
    mounts: [
      { kind: "bind", from: "/tmp/.X11-unix/X0", source: "file", to: "/tmp/.X11-unix/X0", readOnly: true },
      { kind: "data", descriptor: 9, to: "/dev/isolate-xauthority" },
    ],
    environment: { DISPLAY: ":0", XAUTHORITY: "/dev/isolate-xauthority" },
    held: 8,
  } as const;

  test("are in the engine's /tmp and /dev, not in the root", () => {
    const { mounts, environment, init } = planned({ facts: { session } });
    expect(mounts).toEqual([...tmpfs, { kind: "directory", to: "/tmp/.X11-unix" }, ...session.mounts]);
    expect(environment).toMatchObject(session.environment);
    expect(init.heldDescriptor).toBe(8);
  });

  test("follow a /tmp that is a link", () => {
    const { mounts } = planned({
      facts: { session },
      entries: { "/view/tmp": "-> var/tmp", "/view/var": "d", "/view/var/tmp": "d" },
    });
    expect(mounts).toContainEqual({ ...session.mounts[0], to: "/var/tmp/.X11-unix/X0" });
  });

  test("-v takes precedence", () => {
    const { environment } = planned({ facts: { session }, request: { variables: { DISPLAY: ":5" } } });
    expect(environment).toMatchObject({ DISPLAY: ":5", XAUTHORITY: "/dev/isolate-xauthority" });
  });

  test.each(["/tmp", "/tmp/.X11-unix", "/tmp/.X11-unix/X0"])("a bind to %s would cover it", (to) => {
    const it = bound(to);
    const { code, message } = refusal({ ...it, facts: { ...it.facts, session } });
    expect([code, message]).toEqual([
      "bad-bind",
      expect.stringContaining("/tmp/.X11-unix/X0, which -1 or -2 puts there"),
    ]);
    expect(() => planned({ ...bound("/tmp/x"), facts: { ...bound("/tmp/x").facts, session } })).not.toThrow();
  });

  test.each(["/dev/isolate-xauthority", "/dev/isolate-pulse", "/dev/isolate-pulse-cookie"])(
    "%s cannot be a bind's target",
    (to) => {
      expect(refusal(bound(to, { from: "/file" })).code).toBe("bad-bind");
    },
  );
});
