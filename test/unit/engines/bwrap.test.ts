import { describe, expect, test } from "@jest/globals";
import { bwrap, bwrapLater, bwrapLine, optionsBytes } from "../../../engines/bwrap.ts";
import type { LaunchSpec } from "../../../engines/spec.ts";
import { initSpec, launchSpec } from "../../support/specs.ts";

const leased = launchSpec({
  root: "/run/isolate/users/1000/views/debian_1",
  mounts: [
    { kind: "tmpfs", to: "/tmp", mode: 0o1777 },
    { kind: "tmpfs", to: "/home", mode: 0o755 },
    { kind: "bind", from: "/src", source: "directory", to: "/mnt/a b", readOnly: false },
    { kind: "bind", from: "/data", source: "directory", to: "/data", readOnly: true },
  ],
  environment: { PATH: "/bin", A: "b c" },
  workingDirectory: "/etc",
  capabilities: ["CAP_CHOWN", "CAP_KILL"],
  init: initSpec({
    path: "/usr/lib/isolate/isolate-init",
    monitorDescriptor: 9,
  }),
  command: ["sh", "-c", "exit 42"],
});

// biome-ignore format: one option with its values on each line
const golden = [
  "--userns", "5",
  "--unshare-ipc",
  "--unshare-pid",
  "--unshare-uts",
  "--unshare-cgroup-try",
  "--unshare-net",
  "--hostname", "debian_1",
  "--bind", "/run/isolate/users/1000/views/debian_1", "/",
  "--proc", "/proc",
  "--dev", "/dev",
  "--perms", "1777", "--tmpfs", "/tmp",
  "--perms", "0755", "--tmpfs", "/home",
  "--bind", "/src", "/mnt/a b",
  "--ro-bind", "/data", "/data",
  "--ro-bind", "/usr/lib/isolate/isolate-init", "/dev/isolate-init",
  "--chdir", "/etc",
  "--clearenv",
  "--setenv", "PATH", "/bin",
  "--setenv", "A", "b c",
  "--cap-drop", "ALL",
  "--cap-add", "CAP_CHOWN",
  "--cap-add", "CAP_KILL",
  "--as-pid-1",
  "--",
  "/dev/isolate-init", "--lease-fd", "4", "--monitor-fd", "9", "--",
  "sh", "-c", "exit 42",
];

const line = (spec: LaunchSpec): string[] => bwrapLine(bwrap(spec));

describe("bwrap", () => {
  test("data comes from a descriptor, and the held descriptor goes to the init", () => {
    const mounts = [{ kind: "data", descriptor: 9, to: "/dev/isolate-xauthority" }] as const;
    const argv = line({
      ...leased,
      mounts,
      init: { ...leased.init, heldDescriptor: 8, monitorDescriptor: undefined },
    });
    const text = argv.join(" ");
    expect(text).toContain(" --perms 0644 --bind-data 9 /dev/isolate-xauthority ");
    expect(text).toContain(" -- /dev/isolate-init --lease-fd 4 --hold-fd 8 -- sh ");
  });

  test("a leased clone", () => {
    expect(line(leased)).toEqual(golden);
  });

  test("options that come later are the same byte by byte", () => {
    const { options, inside } = bwrap(leased);
    expect(optionsBytes(options).split("\0").slice(0, -1)).toEqual(options);
    expect(bwrapLater(11, inside)).toEqual(["--args", "11", "--", ...golden.slice(golden.indexOf("--") + 1)]);
  });

  test("a user's directory: one id, no lease, the host's network", () => {
    const argv = line({
      ...leased,
      userns: undefined,
      network: "host",
      connection: undefined,
      mounts: [],
      environment: {},
      capabilities: [],
      init: initSpec({
        path: "/init",
        leaseDescriptor: undefined,
      }),
    });
    // biome-ignore format: one option with its values on each line
    expect(argv).toEqual([
      "--unshare-user", "--uid", "0", "--gid", "0",
      "--unshare-ipc",
      "--unshare-pid",
      "--unshare-uts",
      "--unshare-cgroup-try",
      "--hostname", "debian_1",
      "--bind", "/run/isolate/users/1000/views/debian_1", "/",
      "--proc", "/proc",
      "--dev", "/dev",
      "--ro-bind", "/init", "/dev/isolate-init",
      "--chdir", "/etc",
      "--clearenv",
      "--cap-drop", "ALL",
      "--as-pid-1",
      "--",
      "/dev/isolate-init", "--",
      "sh", "-c", "exit 42",
    ]);
  });

  test("a read-only root is an option of bwrap, and the command's capabilities are an option of the init", () => {
    const init = { ...leased.init, noNewUserns: true, innerCapabilities: "1ffffffffff", machineId: true };
    const changed = line({ ...leased, readOnly: true, init });
    // biome-ignore format: one option with its values on each line
    const inner = ["--no-new-userns", "--capabilities", "1ffffffffff", "--own-network", "--machine-id"];
    const expected = [...golden];
    expected[expected.indexOf("--bind")] = "--ro-bind";
    expected.splice(expected.lastIndexOf("--"), 0, ...inner);
    expect(changed).toEqual(expected);
    expect(line({ ...leased, network: "host", init })).not.toContain("--own-network");
  });

  test("a private network: its own namespace, a file from a descriptor, and a command that waits", () => {
    const argv = line({
      ...leased,
      network: "private",
      mounts: [{ kind: "data", descriptor: 9, to: "/etc/resolv.conf" }],
      init: { ...leased.init, networkDescriptor: 8, innerCapabilities: "3" },
    });
    const text = argv.join(" ");
    expect(text).toContain(" --unshare-net ");
    expect(text).toContain(" --perms 0644 --bind-data 9 /etc/resolv.conf ");
    expect(text).toContain(" /dev/isolate-init --lease-fd 4 --monitor-fd 9 --network-fd 8 ");
    // A second network namespace would not be connected.
    expect(text).not.toContain("--own-network");
  });

  test("the host's network without its abstract sockets", () => {
    const text = line({ ...leased, network: "host", init: { ...leased.init, noAbstractSockets: true } }).join(" ");
    expect(text).not.toContain("--unshare-net");
    expect(text).toContain(" /dev/isolate-init --lease-fd 4 --monitor-fd 9 --no-abstract-sockets ");
  });

  test("the sandbox's own mounts come last, so that no bind covers them", () => {
    const argv = line(leased);
    expect(argv.indexOf("/dev/isolate-init")).toBeGreaterThan(argv.lastIndexOf("--bind"));
    expect(argv.indexOf("--cap-drop")).toBeLessThan(argv.indexOf("--cap-add"));
  });

  test("options that must be absent", () => {
    const flags = new Set([...line(leased), ...line({ ...leased, userns: undefined })]);
    for (const flag of ["--die-with-parent", "--cap-add ALL", "ALL ", "--new-session", "--share-net", "--dev-bind"]) {
      expect([...flags]).not.toContain(flag);
    }
    // bwrap refuses them together with --userns.
    for (const flag of [
      "--unshare-user",
      "--unshare-user-try",
      "--unshare-all",
      "--disable-userns",
      "--uid",
      "--gid",
    ]) {
      expect(line(leased)).not.toContain(flag);
    }
  });

  test("a command that looks like options stays a command", () => {
    const argv = line({ ...leased, command: ["--bind", "/", "/"] });
    expect(argv.slice(-4)).toEqual(["--", "--bind", "/", "/"]);
  });
});
