/**
 * The answers of the filters, also for other processors: runs the compiled-in programs as the kernel would, on struct
 * seccomp_data (seccomp(2); the instructions are those of bpf(4) in BSD).
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { projectRoot } from "../../support/project.ts";

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, k: number];

function filters(machine: string): Readonly<Record<string, readonly Instruction[]>> {
  const source = execFileSync(join(projectRoot, "dist/obj/make-filter"), [machine], { encoding: "utf8" });
  const found = source.matchAll(/struct sock_filter (\w+)_filter\[\] = \{\n([^;]*)\};/g);
  const numbers = (line: string): Instruction => {
    const [code = Number.NaN, ifTrue = 0, ifFalse = 0, k = Number.NaN] = (line.match(/0x[0-9a-f]+|\d+/g) ?? []).map(
      Number,
    );
    return [code, ifTrue, ifFalse, k];
  };
  return Object.fromEntries([...found].map(([, name, body = ""]) => [name, body.trim().split("\n").map(numbers)]));
}

interface Call {
  readonly architecture: number;
  readonly number: number;
  readonly args?: readonly bigint[];
}

/** Returns the program's answer: an errno, `allow` or `kill`. */
function answer(program: readonly Instruction[], { architecture, number, args = [] }: Call): string {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(architecture, 4);
  for (const [index, value] of args.entries()) data.writeBigUInt64LE(value, 16 + 8 * index);
  let accumulator = 0;
  for (let at = 0; ; at++) {
    const [code, ifTrue, ifFalse, k] = program[at] ?? [];
    if (code === undefined || k === undefined) throw new Error("the program runs out of its end");
    const jump = (yes: boolean): void => {
      at += (yes ? ifTrue : ifFalse) ?? 0;
    };
    if (code === 0x20) accumulator = data.readUInt32LE(k);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x05) at += k;
    else if (code === 0x15) jump(accumulator === k);
    else if (code === 0x25) jump(accumulator > k);
    else if (code === 0x35) jump(accumulator >= k);
    else if (code === 0x06)
      return { [allow]: "allow", [kill]: "kill", [errno + 1]: "EPERM", [errno + 38]: "ENOSYS" }[k] ?? `${k}`;
    else throw new Error(`no such instruction: ${code}`);
  }
}
const [allow, kill, errno] = [0x7fff0000, 0x80000000, 0x00050000];

// AUDIT_ARCH_* of linux/audit.h, and the numbers of some calls: syscalls(2).
const x86_64 = { architecture: 0xc000003e, ioctl: 16, keyctl: 250, bpf: 321, read: 0, clone: 56, unshare: 272 };
const x32 = {
  ...{ architecture: 0xc000003e, ioctl: 0x40000202, keyctl: 0x400000fa, bpf: 0x40000141 },
  ...{ read: 0x40000000, clone: 0x40000038, unshare: 0x40000110 },
};
const i386 = { architecture: 0x40000003, ioctl: 54, keyctl: 288, bpf: 357, read: 3, clone: 120, unshare: 310 };
const aarch64 = { architecture: 0xc00000b7, ioctl: 29, keyctl: 219, bpf: 280, read: 63, clone: 220, unshare: 97 };
const arm = { architecture: 0x40000028, ioctl: 54, keyctl: 311, bpf: 386, read: 3, clone: 120, unshare: 337 };
const riscv64 = { architecture: 0xc00000f3, read: 63 };

describe.each([
  ["x86_64", "x86_64", x86_64],
  ["x86_64", "x32", x32],
  ["x86_64", "i386", i386],
  ["aarch64", "aarch64", aarch64],
  ["aarch64", "arm", arm],
] as const)("on %s, by the calls of %s,", (machine, _name, calls) => {
  const { terminal = [], default: whole = [], userns = [], mount = [] } = filters(machine);
  const { architecture } = calls;
  const ioctl = (program: readonly Instruction[], request: bigint) =>
    answer(program, { architecture, number: calls.ioctl, args: [0n, request, 0n] });

  test.each([
    ["TIOCSTI", 0x5412n],
    ["TIOCLINUX", 0x541cn],
    ["TIOCSETD", 0x5423n],
  ])("%s is refused, even with bits above the 32 that the kernel reads", (_request, request) => {
    for (const above of [0n, 1n << 32n, 0x123n << 32n, 0xffffffffn << 32n])
      expect([terminal, whole].map((program) => ioctl(program, request | above))).toEqual(["EPERM", "EPERM"]);
  });

  test("other requests of a terminal are allowed", () => {
    for (const request of [0x5401n, 0x5411n, 0x5413n, 0x541bn, 0x541dn, 0x5422n, 0x5424n, 0xffff5412n])
      expect([terminal, whole].map((program) => ioctl(program, request))).toEqual(["allow", "allow"]);
  });

  test("only the third filter blocks new user namespaces; clone3, whose flags it cannot see, does not exist there", () => {
    const clone3 = 435 + (calls.read & 0x40000000);
    const [thread, newUser, newMounts] = [0x3d0f00n, 0x10000000n, 0x20000n];
    const each = (program: readonly Instruction[], flags: bigint) =>
      [calls.clone, calls.unshare, clone3, calls.read].map((number) =>
        answer(program, { architecture, number, args: [flags] }),
      );
    for (const flags of [newUser, newUser | newMounts, newUser | thread, newUser | (1n << 32n), 0xffffffffffffffffn])
      expect(each(userns, flags)).toEqual(["EPERM", "EPERM", "ENOSYS", "allow"]);
    for (const flags of [0n, thread, newMounts, 17n, newUser << 32n])
      expect(each(userns, flags)).toEqual(["allow", "allow", "ENOSYS", "allow"]);
    for (const program of [terminal, whole])
      expect(each(program, newUser)).toEqual(["allow", "allow", "allow", "allow"]);
  });

  test("only the fourth filter blocks mounting", () => {
    const openTree = 428 + (calls.read & 0x40000000);
    const each = (program: readonly Instruction[]) =>
      [openTree, openTree + 1, openTree + 2, calls.read].map((number) => answer(program, { architecture, number }));
    expect(each(mount)).toEqual(["EPERM", "EPERM", "EPERM", "allow"]);
    for (const program of [terminal, whole, userns]) expect(each(program)).toEqual(Array(4).fill("allow"));
  });

  test("only the default filter has the blocklist", () => {
    const { keyctl, bpf, read } = calls;
    const each = (program: readonly Instruction[]) =>
      [keyctl, bpf, read].map((number) => answer(program, { architecture, number, args: [5n, 0x5412n, 0x5412n] }));
    expect(each(whole)).toEqual(["ENOSYS", "EPERM", "allow"]);
    expect(each(terminal)).toEqual(["allow", "allow", "allow"]);
  });
});

test.each([
  ["x86_64", [aarch64, arm, riscv64]],
  ["aarch64", [x86_64, i386, riscv64]],
] as const)("on %s, calls of another processor kill the process", (machine, strangers) => {
  for (const program of Object.values(filters(machine)))
    for (const { architecture, read } of strangers)
      expect(answer(program, { architecture, number: read })).toBe("kill");
});
