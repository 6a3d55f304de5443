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
    else if (code === 0x06) return names[k] ?? `${k}`;
    else throw new Error(`no such instruction: ${code}`);
  }
}
const names: Readonly<Record<number, string>> = {
  2147418112: "allow",
  2147483648: "kill",
  327681: "EPERM",
  327718: "ENOSYS",
  327777: "EAFNOSUPPORT",
};

// AUDIT_ARCH_* of linux/audit.h, and the numbers of some calls: syscalls(2).
const x86_64 = {
  ...{ architecture: 0xc000003e, ioctl: 16, keyctl: 250, bpf: 321, read: 0, clone: 56, unshare: 272 },
  ...{ socket: 41, socketpair: 53 },
};
const x32 = {
  ...{ architecture: 0xc000003e, ioctl: 0x40000202, keyctl: 0x400000fa, bpf: 0x40000141 },
  ...{ read: 0x40000000, clone: 0x40000038, unshare: 0x40000110, socket: 0x40000029, socketpair: 0x40000035 },
};
const i386 = {
  ...{ architecture: 0x40000003, ioctl: 54, keyctl: 288, bpf: 357, read: 3, clone: 120, unshare: 310 },
  ...{ socket: 359, socketpair: 360 },
};
const aarch64 = {
  ...{ architecture: 0xc00000b7, ioctl: 29, keyctl: 219, bpf: 280, read: 63, clone: 220, unshare: 97 },
  ...{ socket: 198, socketpair: 199 },
};
const arm = {
  ...{ architecture: 0x40000028, ioctl: 54, keyctl: 311, bpf: 386, read: 3, clone: 120, unshare: 337 },
  ...{ socket: 281, socketpair: 288 },
};
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
    const openTreeAttr = 467 + (calls.read & 0x40000000);
    const each = (program: readonly Instruction[]) =>
      [openTree, openTree + 1, openTree + 2, openTreeAttr, calls.read].map((number) =>
        answer(program, { architecture, number }),
      );
    expect(each(mount)).toEqual(["EPERM", "EPERM", "EPERM", "EPERM", "allow"]);
    for (const program of [terminal, whole, userns]) expect(each(program)).toEqual(Array(5).fill("allow"));
  });

  test("calls newer than the filters do not exist, except to the terminal's filter", () => {
    const bit = calls.read & 0x40000000;
    const newest = 470 + bit;
    for (const program of [whole, userns, mount]) {
      const each = (numbers: readonly number[]) => numbers.map((number) => answer(program, { architecture, number }));
      expect(each([newest, calls.read, 424 + bit])).toEqual(Array(3).fill("allow"));
      expect(each([newest + 1, newest + 100, 0x3fffffff | bit, 0x7fffffff, 0x80000000, 0xffffffff])).toEqual(
        Array(6).fill("ENOSYS"),
      );
    }
    expect(answer(terminal, { architecture, number: newest + 1 })).toBe("allow");
  });

  test("sockets are of the families that a network namespace confines, by the 32 bits that the kernel looks at", () => {
    const each = (program: readonly Instruction[], families: readonly bigint[]) => [
      ...new Set(
        [calls.socket, calls.socketpair].flatMap((number) =>
          families.map((family) => answer(program, { architecture, number, args: [family] })),
        ),
      ),
    ];
    const allowed = [1n, 2n, 10n, 16n, 17n];
    const others = Array.from({ length: 300 }, (_, family) => BigInt(family)).filter((one) => !allowed.includes(one));
    const odd = Array.from({ length: 27 }, (_, bit) => 1n << BigInt(bit + 5)).flatMap((high) => [
      high | 1n,
      high | 16n,
    ]);
    for (const above of [0n, 1n << 32n, 0xffffffffn << 32n]) {
      expect(
        each(
          whole,
          allowed.map((family) => family | above),
        ),
      ).toEqual(["allow"]);
      const refused = [...others, ...odd, 0xffffffffn];
      expect(
        each(
          whole,
          refused.map((family) => family | above),
        ),
      ).toEqual(["EAFNOSUPPORT"]);
    }
    for (const program of [terminal, userns, mount]) expect(each(program, [...allowed, ...others])).toEqual(["allow"]);
  });

  test("only the default filter has the blocklist", () => {
    const { keyctl, bpf, read } = calls;
    const each = (program: readonly Instruction[]) =>
      [keyctl, bpf, read].map((number) => answer(program, { architecture, number, args: [5n, 0x5412n, 0x5412n] }));
    expect(each(whole)).toEqual(["ENOSYS", "EPERM", "allow"]);
    expect(each(terminal)).toEqual(["allow", "allow", "allow"]);
  });
});

test("i386's socketcall makes no sockets, whose family it hides, and does all the rest", () => {
  const { default: whole = [], terminal = [] } = filters("x86_64");
  const each = (program: readonly Instruction[]) =>
    Array.from({ length: 20 }, (_, index) => BigInt(index + 1))
      .filter((number) => answer(program, { ...i386, number: 102, args: [number] }) !== "allow")
      .map(Number);
  expect(each(whole)).toEqual([1, 8]); // SYS_SOCKET, SYS_SOCKETPAIR of linux/net.h
  expect(each(terminal)).toEqual([]);
});

test("arm's own calls go on, and the 64-bit numbers of x32 are nobody's", () => {
  const { default: onArm = [] } = filters("aarch64");
  const { default: onX86 = [] } = filters("x86_64");
  expect(answer(onArm, { ...arm, number: 0xf0002 })).toBe("allow"); // cacheflush
  expect(answer(onArm, { ...arm, number: 0xf0007 })).toBe("ENOSYS");
  expect(answer(onArm, { ...aarch64, number: 0xf0002 })).toBe("ENOSYS");
  expect(answer(onX86, { ...x86_64, number: 514 })).toBe("ENOSYS"); // ioctl, before Linux 5.4
  expect(answer(onX86, { ...x86_64, number: 335 })).toBe("allow"); // uretprobe
});

test.each([
  ["x86_64", [aarch64, arm, riscv64]],
  ["aarch64", [x86_64, i386, riscv64]],
] as const)("on %s, calls of another processor kill the process", (machine, strangers) => {
  for (const program of Object.values(filters(machine)))
    for (const { architecture, read } of strangers)
      expect(answer(program, { architecture, number: read })).toBe("kill");
});
