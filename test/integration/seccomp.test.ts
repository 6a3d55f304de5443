/**
 * isolate-seccomp in front of a command, the blocklist, and filters of the caller's: the scenarios of bubblewrap's
 * test-seccomp.py and flatpak's test-seccomp.sh. (The terminal's ioctls inside sandboxes are in init.test.ts.)
 */
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { instructions, refusing } from "../support/bpf.ts";
import { must, type Outcome, root, run } from "../support/process.ts";
import { program, projectRoot } from "../support/project.ts";
import { alice, createWorld, type World } from "../support/world.ts";

const wrapper = program("isolate-seccomp");
const trySyscall = join(projectRoot, "dist/test/try-syscall");
const tryI386 = join(projectRoot, "dist/test/try-i386");
const x64 = process.arch === "x64";
let world: World;
let scratch: string;

beforeAll(async () => {
  world = await createWorld();
  scratch = world.scratch(alice);
  for (const tool of [trySyscall, ...(x64 ? [tryI386] : [])])
    copyFileSync(tool, join(scratch, tool.slice(tool.lastIndexOf("/") + 1)));
}, 1_200_000);
afterAll(() => world.close(), 300_000);

const isolate = (args: readonly string[], options = {}): Promise<Outcome> =>
  world.isolate(["-d", `${scratch}:/mnt`, "-z", world.template, ...args], options);

function filterFile(name: string, content: Buffer): string {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
}

// uname(2): harmless, and needed by nothing here.
const uname = x64 ? 63 : 160;
const [ENOENT, ENXIO] = [2, 6];

describe("isolate-seccomp", () => {
  const wrapped = (...words: string[]) => run([wrapper, ...words], { as: alice });

  test("says nothing of its own and gives the command's code", async () => {
    expect(await wrapped("sh", "-c", "exit 42")).toEqual({ code: 42, stdout: "", stderr: "" });
    expect(await wrapped("--", "sh", "-c", "echo $0 $1", "--seccomp=none", "x")).toMatchObject({
      stdout: "--seccomp=none x\n",
      stderr: "",
    });
  });

  test.each([
    [[], 125, "usage: isolate-seccomp"],
    [["--"], 125, "usage: isolate-seccomp"],
    [["--bogus", "true"], 125, "usage: isolate-seccomp"],
    [["nosuch"], 127, "isolate-seccomp: cannot run nosuch: no such file"],
    [["/etc/passwd"], 126, "isolate-seccomp: cannot run /etc/passwd: permission denied"],
    [["--seccomp=/no/such", "true"], 125, "isolate-seccomp: cannot open the filter: No such file"],
    [["--seccomp=/dev/null", "true"], 125, "isolate-seccomp: cannot use the filter: it is empty"],
  ] as const)("%j is refused with %i and a sentence", async (words, code, sentence) => {
    const outcome = await wrapped(...words);
    expect(outcome).toMatchObject({ code, stdout: "" });
    expect(outcome.stderr).toContain(sentence);
  });

  const kinds = [
    ["default", "EPERM", "ENOSYS"],
    ["tty", "EPERM", "EINVAL"],
    ["none", "ENOTTY", "EINVAL"],
  ] as const;
  test.each(kinds)("--seccomp=%s: TIOCSTI gives %s, keyctl(-1) %s", async (kind, terminal, keyctl) => {
    const number = String(x64 ? 250 : 219);
    const nothing = { stderr: "", code: 0 };
    const ioctl = await wrapped(`--seccomp=${kind}`, trySyscall, "ioctl", "0x5412");
    expect([`${terminal}\n`, ...(kind === "none" ? ["EINVAL\n"] : [])]).toContain(ioctl.stdout);
    expect(await wrapped(`--seccomp=${kind}`, trySyscall, "call", number)).toMatchObject({
      ...nothing,
      stdout: keyctl === "EINVAL" ? "EOPNOTSUPP\n" : `${keyctl}\n`,
    });
  });

  test("--no-new-userns goes with each of them", async () => {
    const unshare = String(x64 ? 272 : 97);
    for (const kind of kinds.map(([name]) => `--seccomp=${name}`)) {
      expect((await wrapped(kind, trySyscall, "call", unshare)).stdout).toBe("EINVAL\n");
      expect((await wrapped(kind, "--no-new-userns", trySyscall, "call", unshare)).stdout).toBe("EPERM\n");
    }
  });

  test("is inherited by every child", async () => {
    const deep = `sh -c "sh -c '${trySyscall} ioctl 0x100005412 </dev/null; true'; true"`;
    expect((await wrapped("sh", "-c", `${deep}; true`)).stdout).toBe("EPERM\n");
  });

  test("a 32-bit program runs, and is refused the same", async () => {
    if (!x64) return;
    expect((await run([tryI386], { as: alice })).stdout).toBe("32 bits\nnot EPERM\n");
    expect((await wrapped(tryI386)).stdout).toBe("32 bits\nEPERM\n");
  });
});

describe("a sandbox", () => {
  // By the numbers of x86-64 and i386; what the kernel would say itself is another errno, or none.
  const blocked = [
    ["perf_event_open", 298, 336, "EPERM"],
    ["bpf", 321, 357, "EPERM"],
    ["userfaultfd", 323, 374, "EPERM"],
    ["kexec_load", 246, 283, "EPERM"],
    ["open_by_handle_at", 304, 342, "EPERM"],
    ["swapon", 167, 87, "EPERM"],
    ["keyctl", 250, 288, "ENOSYS"],
    ["add_key", 248, 286, "ENOSYS"],
    ["io_uring_setup", 425, 425, "ENOSYS"],
    ["ustat", 136, 62, "ENOSYS"],
  ] as const;
  const entries = x64
    ? blocked.flatMap(([name, native, other, errno]) => [
        [name, "call", native, errno] as const,
        [name, "call-int80", other, errno] as const,
      ])
    : [];

  test.each(entries)("is refused %s by %s %i: %s", async (_name, call, number, errno) => {
    expect((await isolate(["/mnt/try-syscall", call, String(number)])).stdout).toBe(`${errno}\n`);
  });

  describe("has sockets of the families alone that a network namespace confines", () => {
    // AF_UNIX, AF_INET, AF_INET6, AF_NETLINK and AF_PACKET; AF_ALG, AF_VSOCK, AF_XDP, and what is none. As SOCK_STREAM.
    const families = [1, 2, 10, 16, 17, 38, 40, 44, 46, 4242, -1];
    const tried = async (call: string, ...args: string[]): Promise<boolean[]> => {
      const script = families.map((family) => `/mnt/try-syscall ${call} ${family} 1`).join("; ");
      const { stdout } = await isolate([...args, "sh", "-c", script]);
      return stdout
        .trim()
        .split("\n")
        .map((answer) => answer === "EAFNOSUPPORT");
    };
    const confined = [false, false, false, false, false, true, true, true, true, true, true];

    test.each([[["--net=none"]], [["-n"]], [["--cap-add", "ALL"]], [["--no-new-userns"]]])("with %j", async (args) => {
      expect(await tried("socket", ...args)).toEqual(confined);
    });

    test("and by socketcall, which hides the family, none at all", async () => {
      if (x64) expect(await tried("socketcall-int80")).toEqual(Array(families.length).fill(true));
      // The programs of 32 bits that have no other call.
      if (x64) expect((await tried("socketcall-int80", "--seccomp=tty")).slice(0, 5)).toEqual(Array(5).fill(false));
    });
  });

  test("makes every other call, and has user namespaces of its own", async () => {
    const number = String(x64 ? 101 : 117); // ptrace(-1): EIO, or the like, of the kernel's own
    expect((await isolate(["/mnt/try-syscall", "call", number])).stdout).not.toMatch(/EPERM|ENOSYS/);
    expect((await isolate(["unshare", "-Urm", "true"])).code).toBe(0);
  });

  test("of --seccomp=tty is refused the terminal's calls alone", async () => {
    const both = "/mnt/try-syscall ioctl 0x5412 </dev/null; /mnt/try-syscall call-int80 288";
    if (x64)
      expect((await isolate(["--seccomp=tty", "sh", "-c", both])).stdout).toMatch(/^EPERM\n(?!ENOSYS|EPERM)E[A-Z]+\n$/);
  });

  test("without a filter is warned of, by option and by variable, and under -q", async () => {
    const status = ["grep", "^Seccomp:", "/proc/self/status"];
    for (const outcome of [
      await isolate(["--seccomp=none", ...status]),
      await isolate(["-q", "--seccomp=none", ...status]),
      await isolate(status, { env: { DISABLE_SECCOMP_WRAPPER: "1" } }),
    ]) {
      expect(outcome).toMatchObject({ code: 0, stdout: "Seccomp:\t0\n" });
      expect(outcome.stderr).toContain("isolate: no system call is blocked");
    }
    const empty = await isolate(status, { env: { DISABLE_SECCOMP_WRAPPER: "" } });
    expect(empty).toMatchObject({ code: 0, stdout: "Seccomp:\t2\n", stderr: "" });
  });

  test("without a filter gains no privileges either", async () => {
    expect((await isolate(["--seccomp=none", "grep", "NoNewPrivs", "/proc/self/status"])).stdout).toBe(
      "NoNewPrivs:\t1\n",
    );
  });
});

describe("a compiled filter", () => {
  test("is added to ours", async () => {
    const file = filterFile("no-uname", refusing(uname, ENOENT));
    const both = "/mnt/try-syscall call $0; /mnt/try-syscall ioctl 0x5412 </dev/null; grep filters /proc/self/status";
    for (const as of [alice, root]) {
      const { stdout } = await isolate([`--seccomp=${file}`, "sh", "-c", both, String(uname)], { as });
      expect(stdout).toBe("ENOENT\nEPERM\nSeccomp_filters:\t2\n");
    }
    // By a relative name too.
    const relative = await isolate(["--seccomp=./no-uname", "/mnt/try-syscall", "call", String(uname)], {
      cwd: scratch,
    });
    expect(relative.stdout).toBe("ENOENT\n");
  });

  test("cannot allow what ours refuses, and the stricter of the two answers", async () => {
    const allowAll = filterFile("allow-all", instructions([[0x06, 0, 0, 0x7fff0000]]));
    expect((await isolate([`--seccomp=${allowAll}`, "/mnt/try-syscall", "ioctl", "0x5412"])).stdout).toBe("EPERM\n");
  });

  test("that also refuses what isolate-init itself needs does not hinder it", async () => {
    const wait4 = x64 ? 247 : 95; // waitid
    const file = filterFile("no-waitid", refusing(wait4, ENXIO));
    expect((await isolate([`--seccomp=${file}`, "sh", "-c", "exit 7"])).code).toBe(7);
  });

  test.each([
    ["empty", Buffer.alloc(0), "it is empty"],
    ["of a broken size", Buffer.alloc(13), "its size is not a multiple of 8"],
    ["too long", Buffer.alloc(8 * 4097), "it is longer than 4096 instructions"],
    ["that is no program", Buffer.alloc(16, 0xff), "Invalid argument"],
  ])("%s is refused with one sentence, and nothing runs", async (name, content, sentence) => {
    const outcome = await isolate([`--seccomp=${filterFile(name.replaceAll(" ", "-"), content)}`, "echo", "ran"]);
    expect(outcome).toMatchObject({ code: 125, stdout: "" });
    expect(outcome.stderr).toContain(sentence);
    await world.settled();
  });

  test.each(["/no/such", "/tmp", ""])("'%s' is none", async (file) => {
    expect(await isolate([`--seccomp=${file}`, "echo", "ran"])).toMatchObject({ code: 125, stdout: "" });
  });

  test("that the caller may not read is not read for them", async () => {
    const file = filterFile("secret", refusing(uname, ENOENT));
    await must(["chmod", "600", file]);
    await must(["chown", "root", file]);
    const { code, stderr } = await isolate([`--seccomp=${file}`, "true"]);
    expect(code).toBe(125);
    expect(stderr).toContain("you may not read it");
  });
});
