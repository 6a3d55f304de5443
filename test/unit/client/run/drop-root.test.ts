import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { giveUpRoot, stage } from "../../../../client/run/drop-root.ts";
import type { Libc } from "../../../../client/run/linux/libc.ts";
import type { RootCalls } from "../../../../client/run/linux/root-calls.ts";
import { initSpec, launchSpec } from "../../../support/specs.ts";

const libc = { readText: (path: string) => readFileSync(path, "utf8") } as Libc;
const spec = launchSpec({
  mounts: [
    { kind: "tmpfs", to: "/tmp", mode: 0o1777 },
    { kind: "bind", from: "/etc/resolv.conf", source: "directory", to: "/etc/resolv.conf", readOnly: true },
    { kind: "bind", from: "/src", source: "directory", to: "/mnt", readOnly: false },
  ],
  hostname: "h",
  network: "host",
  init: initSpec(),
});

test("every host path is staged, and the ids of the caller's paths are mapped", () => {
  const staged = stage(spec, new Set(["/src"]));
  expect(staged.trees).toEqual([
    { from: "/view", mapped: false, readOnly: false },
    { from: "/etc/resolv.conf", mapped: false, readOnly: true },
    { from: "/src", mapped: true, readOnly: false },
    { from: "/lib/isolate-init", mapped: false, readOnly: false },
    { from: "/lib/isolate-monitor", mapped: false, readOnly: false },
  ]);
  expect(staged.spec).toEqual({
    ...spec,
    root: "/tmp/0",
    mounts: [
      { kind: "tmpfs", to: "/tmp", mode: 0o1777 },
      { kind: "bind", from: "/tmp/1", source: "directory", to: "/etc/resolv.conf", readOnly: true },
      { kind: "bind", from: "/tmp/2", source: "directory", to: "/mnt", readOnly: false },
    ],
    init: { ...spec.init, path: "/tmp/3" },
    monitor: "/tmp/4",
  });
});

test("root cannot be given up in favour of root", () => {
  const calls = { becomeUser: () => {} } as unknown as RootCalls;
  for (const [uid, gid] of [
    [0, 1],
    [1, 0],
  ] as const) {
    expect(() => giveUpRoot({ uid, gid, userns: 5 }, calls, libc)).toThrow("the sandbox would run as root");
  }
});

test("a system call that falsely reports giving up root is detected", () => {
  const calls = { becomeUser: () => {} } as unknown as RootCalls;
  expect(() => giveUpRoot({ uid: 54321, gid: 54321, userns: 5 }, calls, libc)).toThrow(
    "root's rights could not be given up",
  );
});
