import { describe, expect, test } from "@jest/globals";
import { type ContainerHost, lxc } from "../../../engines/lxc.ts";
import type { LaunchSpec } from "../../../engines/spec.ts";
import { initSpec, launchSpec } from "../../support/specs.ts";

const spec = launchSpec({
  mounts: [
    { kind: "tmpfs", to: "/tmp", mode: 0o1777 },
    { kind: "directory", to: "/mnt/a" },
    { kind: "bind", from: "/src", source: "directory", to: "/mnt/a b", readOnly: false },
    { kind: "bind", from: "/x\n\t\\y", source: "file", to: "/etc/x#1", readOnly: true },
  ],
  environment: { PATH: "/bin", A: "b c\nlxc.cap.keep = none" },
  workingDirectory: "/etc",
  init: initSpec({
    path: "/lib/isolate-seccomp",
  }),
  command: ["sh", "-c", "exit 42"],
});
const host: ContainerHost = {
  name: "isolate-1",
  directory: "/dir",
  userns: "/proc/7/fd/5",
  uidMap: "         0       1000          1\n         1     200000      65535\n",
  gidMap: "0 1000 1\n1 200000 65535\n",
  bridge: "br_vm",
  tun: false,
  swap: true,
  limits: { cpu: 34_000, memory: 2 ** 20, pids: 10 },
  cpuPeriod: 100_000,
  scope: [],
  filterFile: undefined,
  logFile: "/dir/log",
  logLevel: "ERROR",
};
const lines = (more: Partial<LaunchSpec> = {}, about: Partial<ContainerHost> = {}): string[] =>
  lxc({ ...spec, ...more }, { ...host, ...about })
    .config.trimEnd()
    .split("\n");

test("the configuration", () => {
  expect(lines()).toEqual([
    "lxc.uts.name = debian_1",
    "lxc.rootfs.path = dir:/view",
    "lxc.namespace.share.user = /proc/7/fd/5",
    "lxc.idmap = u 0 1000 1",
    "lxc.idmap = u 1 200000 65535",
    "lxc.idmap = g 0 1000 1",
    "lxc.idmap = g 1 200000 65535",
    "lxc.init.cmd = /dev/isolate-seccomp --seccomp=default -- /sbin/init",
    "lxc.console.path = none",
    "lxc.tty.max = 0",
    "lxc.pty.max = 1024",
    "lxc.autodev = 1",
    "lxc.mount.auto = proc:mixed sys:mixed cgroup:rw:force",
    "lxc.cap.drop = mac_admin mac_override sys_time sys_module sys_rawio",
    "lxc.apparmor.profile = unconfined",
    "lxc.keyring.session = 0",
    "lxc.net.0.type = empty",
    "lxc.cgroup2.cpu.max = 34000 100000",
    "lxc.cgroup2.memory.max = 1048576",
    "lxc.cgroup2.memory.swap.max = 0",
    "lxc.cgroup2.pids.max = 10",
    "lxc.mount.entry = tmpfs tmp tmpfs nosuid,nodev,size=256m,mode=1777,create=dir 0 0",
    "lxc.mount.entry = /src mnt/a\\040b none rbind,create=dir 0 0",
    "lxc.mount.entry = /x\\012\\011\\134y etc/x#1 none bind,ro,create=file 0 0",
    "lxc.mount.entry = /lib/isolate-seccomp dev/isolate-seccomp none bind,ro,create=file 0 0",
  ]);
});

describe("the caller's words", () => {
  test("are never in the configuration", () => {
    const evil = "x\nlxc.hook.start-host = /evil";
    const config = lines({ environment: { [evil]: evil }, workingDirectory: evil, command: [evil] }).join("\n");
    expect(config).not.toContain("evil");
  });

  test("are passed as arguments, after the filter", () => {
    const { attach } = lxc(spec, host);
    expect(attach.slice(attach.indexOf("/lib/isolate-seccomp"))).toEqual([
      "/lib/isolate-seccomp",
      "--seccomp=default",
      "--",
      "lxc-attach",
      "-P",
      "/dir",
      "-n",
      "isolate-1",
      "-l",
      "FATAL",
      "--clear-env",
      "-v",
      "PATH=/bin",
      "-v",
      "A=b c\nlxc.cap.keep = none",
      "--",
      "/dev/isolate-seccomp",
      "--seccomp=none",
      "--chdir=/etc",
      "--",
      "sh",
      "-c",
      "exit 42",
    ]);
  });

  test("a root whose path has a line end is refused", () => {
    expect(() => lines({ root: "/a\nb" })).toThrow("line end");
  });
});

test("the caller's filter is available inside, also for init", () => {
  const config = lines({}, { filterFile: "/dir/filter" });
  expect(config).toContain("lxc.init.cmd = /dev/isolate-seccomp --seccomp=/dev/isolate-filter -- /sbin/init");
  expect(config).toContain("lxc.mount.entry = /dir/filter dev/isolate-filter none bind,ro,create=file 0 0");
});

test("the ban on new user namespaces applies to init and the command, but not to lxc-attach, which makes one", () => {
  const init = { ...spec.init, noNewUserns: true };
  expect(lines({ init })).toContain(
    "lxc.init.cmd = /dev/isolate-seccomp --seccomp=default --no-new-userns -- /sbin/init",
  );
  const words = lxc({ ...spec, init }, host).attach.join(" ");
  expect(words).toContain("/lib/isolate-seccomp --seccomp=default -- lxc-attach");
  expect(words).toContain("/dev/isolate-seccomp --seccomp=none --no-new-userns ");
});

test("without a filter there is no wrapper", () => {
  const bare = { ...spec, init: { ...spec.init, filter: "none" as const } };
  expect(lxc(bare, host).config).toContain("lxc.init.cmd = /sbin/init\n");
  expect(lxc(bare, host).attach).not.toContain("/lib/isolate-seccomp");
});

test("the network is a device on the bridge", () => {
  expect(lines({ network: "host" }).filter((line) => line.startsWith("lxc.net"))).toEqual([
    "lxc.net.0.type = veth",
    "lxc.net.0.link = br_vm",
    "lxc.net.0.flags = up",
    "lxc.net.0.name = eth0",
  ]);
});

test("the monitor dies with its keeper, and every program runs without the caller's environment", () => {
  const container = lxc(spec, { ...host, scope: ["scope"] });
  expect(container.start.slice(0, 3)).toEqual(["scope", "env", "-i"]);
  expect(container.start.join(" ")).toContain("setpriv --pdeathsig KILL lxc-start");
  for (const command of [container.info, container.stop, container.kill])
    expect(command.slice(0, 2)).toEqual(["env", "-i"]);
});
