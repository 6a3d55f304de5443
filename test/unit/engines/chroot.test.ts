import { expect, test } from "@jest/globals";
import { bwrapLine } from "../../../engines/bwrap.ts";
import { chroot } from "../../../engines/chroot.ts";
import { initSpec, launchSpec } from "../../support/specs.ts";

test("its own mounts and processes, everything else from the host, and nothing in the root covered", () => {
  const invocation = chroot(
    launchSpec({
      root: "/tmp/0",
      mounts: [{ kind: "bind", from: "/tmp/1", source: "file", to: "/etc/resolv.conf", readOnly: true }],
      environment: { PATH: "/bin" },
      hostname: "h",
      network: "host",
      capabilities: ["CAP_CHOWN"],
      init: initSpec({
        path: "/tmp/2",
        monitorDescriptor: 7,
        filter: "tty",
        filterDescriptor: 6,
      }),
      monitor: "/tmp/3",
      command: ["--bind", "/"],
    }),
  );
  // biome-ignore format: one option with its values on each line
  expect(bwrapLine(invocation)).toEqual([
    "--userns", "5",
    "--unshare-pid",
    "--bind", "/tmp/0", "/",
    "--proc", "/proc",
    "--dev", "/dev",
    "--ro-bind", "/sys", "/sys",
    "--ro-bind", "/tmp/1", "/etc/resolv.conf",
    "--ro-bind", "/tmp/2", "/dev/isolate-init",
    "--chdir", "/",
    "--clearenv",
    "--setenv", "PATH", "/bin",
    "--cap-drop", "ALL",
    "--cap-add", "CAP_CHOWN",
    "--as-pid-1",
    "--",
    "/dev/isolate-init", "--lease-fd", "4", "--monitor-fd", "7", "--seccomp", "tty", "--seccomp-fd", "6", "--",
    "--bind", "/",
  ]);
});
