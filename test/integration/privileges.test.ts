/** --cap-add, --cap-drop, --no-new-userns and --read-only: what each gives, and what none of them gives. */
import { chmodSync, copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { must, root } from "../support/process.ts";
import { projectRoot } from "../support/project.ts";
import { alice, createWorld, type World } from "../support/world.ts";

const x64 = process.arch === "x64";
let world: World;
let scratch: string;

beforeAll(async () => {
  world = await createWorld();
  scratch = world.scratch();
  mkdirSync(join(scratch, "bound"));
  chmodSync(join(scratch, "bound"), 0o777);
  mkdirSync(join(scratch, "tools"));
  copyFileSync(join(projectRoot, "dist/test/try-syscall"), join(scratch, "tools/try-syscall"));
}, 1_200_000);
afterAll(() => world.close(), 300_000);

const callers = [
  ["a user", alice],
  ["root", root],
] as const;

/** `tools` are at /opt, a directory of the host's that all may write is read-only at /mnt. */
const inside = (as: typeof alice, args: readonly string[], script: string) =>
  world.isolate(
    ["-z", world.template, "-d", `${scratch}/tools:/opt:ro`, "-d", `${scratch}/bound:/mnt:ro`]
      .concat(args)
      .concat(["sh", "-c", script]),
    { as },
  );

const status = "grep -E '^Cap(Eff|Bnd)' /proc/self/status | cut -f2";
const mask = (...bits: number[]): string =>
  bits
    .reduce((sum, bit) => sum + 2 ** bit, 0)
    .toString(16)
    .padStart(16, "0");
const twice = (text: string): string => `${text}\n${text}\n`;
const usual = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

describe.each(callers)("capabilities of %s", (_who, as) => {
  test("can be dropped, all or some, and what is left cannot be exceeded", async () => {
    expect(await inside(as, ["--cap-drop", "ALL"], `${status}; chown 33 /etc/passwd 2>&1`)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(new RegExp(`^${twice(mask())}chown: .*Operation not permitted\n$`)),
    });
    const some = ["--cap-drop", "all", "--cap-add", "chown", "--cap-add", "CAP_FOWNER"];
    expect((await inside(as, some, status)).stdout).toBe(twice(mask(0, 3)));
    const rest = mask(...usual.filter((bit) => bit !== 1));
    expect((await inside(as, ["--cap-drop", "Cap_Dac_Override"], status)).stdout).toBe(twice(rest));
  });

  test("beyond the usual ones hold over namespaces of the command's own, with all its ids", async () => {
    const script = [
      status,
      "chown 1000:65535 /etc/passwd; stat -c %u:%g /etc/passwd",
      "mkdir /t; mount -t tmpfs t /t && touch /t/x && echo mounted",
      "hostname inner; hostname",
      "cat /sys/class/net/lo/flags 2>/dev/null; sed -n 's/^ *lo:.*/lo/p' /proc/net/dev",
      "su www-data -s /bin/sh -c id",
    ].join("; ");
    const { stdout, stderr, code } = await inside(as, ["--cap-add", "ALL"], script);
    expect({ stdout, stderr, code }).toEqual({
      stdout: `${twice("000001ffffffffff")}1000:65535\nmounted\ninner\nlo\nuid=33(www-data) gid=33(www-data) groups=33(www-data)\n`,
      stderr: "",
      code: 0,
    });
  });

  test("are those that were asked for: without SYS_ADMIN nothing is mounted", async () => {
    const { stdout } = await inside(
      as,
      ["--cap-add", "NET_ADMIN", "--cap-drop", "KILL"],
      `${status}; mount -t tmpfs t /media || echo refused`,
    );
    expect(stdout).toBe(`${twice(mask(...usual.filter((bit) => bit !== 5), 12))}refused\n`);
  });

  test("never make a read-only bind or root writable, nor uncover or change what is the host's", async () => {
    const script = [
      "/opt/try-syscall mount-remount-rw /mnt",
      "/opt/try-syscall mount-remount-rw /",
      "mount -o remount,rw /mnt",
      "umount /mnt",
      "umount -l /tmp",
      "umount /proc",
      "mount --move /mnt /tmp",
      "unshare -Urm mount -o remount,bind,rw /mnt",
      "unshare -m umount /mnt",
      "mkdir /tmp/r; mount --rbind / /tmp/r; mount -o remount,bind,rw /tmp/r/mnt; touch /tmp/r/mnt/x",
      "touch /mnt/x /y",
      "for f in kernel/core_pattern vm/drop_caches ../sysrq-trigger; do (echo 1 >/proc/sys/$f) && echo wrote $f; done",
      "/opt/try-syscall pidfd_getfd 1 3; /opt/try-syscall ptrace 1",
      "test -e /y || echo whole",
    ].join("\n");
    const { stdout, code } = await inside(as, ["--read-only", "--cap-add", "ALL"], `exec 2>/dev/null; ${script}`);
    expect({ stdout, code }).toEqual({ stdout: "EPERM\nEPERM\nEPERM\nEPERM\nwhole\n", code: 0 });
    expect(readdirSync(join(scratch, "bound"))).toEqual([]);
  });
});

test("a user's own directory has them too, with the one id that is there", async () => {
  const directory = join(scratch, "root");
  for (const place of ["bin", "proc", "dev", "tmp", "home"]) mkdirSync(join(directory, place), { recursive: true });
  copyFileSync(join(scratch, "tools/try-syscall"), join(directory, "bin/try"));
  await must(["chown", "-R", `${alice.uid}:${alice.gid}`, directory]);
  const tried = async (...args: string[]) => (await world.isolate(["-t", directory, ...args], { as: alice })).stdout;
  const sethostname = ["/bin/try", "call", x64 ? "170" : "161"];
  expect(await tried(...sethostname)).toBe("EPERM\n");
  expect(await tried("--cap-add", "SYS_ADMIN", ...sethostname)).toBe("OK\n");
  expect(await tried("--cap-add", "ALL", "--read-only", "/bin/try", "mount-remount-rw", "/")).toBe("EPERM\n");
  expect(await tried("--cap-add", "ALL", "/bin/try", "ids")).toBe("0 0 OK\n");
});

test("--no-new-userns refuses the calls by which one mounts, too, but to capabilities that were asked for", async () => {
  // open_tree, fsopen, mount_setattr and open_tree_attr; the first needs no right.
  const [openTree, ...others] = [428, 430, 442, 467].map((number) => `/opt/try-syscall call ${number}`);
  const calls = [openTree, ...others].join("; ");
  for (const filter of [[], ["--seccomp=tty"], ["--seccomp=none"]])
    expect((await inside(alice, ["--no-new-userns", ...filter], calls)).stdout).toBe("EPERM\n".repeat(4));
  expect((await inside(alice, [], openTree ?? "")).stdout).not.toBe("EPERM\n");
  const mount = "mount -t tmpfs none /mnt && echo mounted";
  expect((await inside(alice, ["--no-new-userns", "--cap-add", "SYS_ADMIN"], mount)).stdout).toBe("mounted\n");
});

describe("--no-new-userns", () => {
  // clone, unshare and clone3, by the numbers of x86-64, x32 and i386; -1 as flags holds CLONE_NEWUSER.
  const native = x64 ? [56, 272, 435, 0x40000000 + 56, 0x40000000 + 272, 0x40000000 + 435] : [220, 97, 435];
  const calls = native
    .map((number) => `call ${number}`)
    .concat(x64 ? [120, 310, 435].map((n) => `call-int80 ${n}`) : []);
  const refused = calls.map((call) => (/ (435|1073742259)$/.test(call) ? "ENOSYS" : "EPERM"));
  const script = calls.map((call) => `/opt/try-syscall ${call}`).join("; ");

  test.each([
    ["beside the default filter", []],
    ["beside --seccomp=tty", ["--seccomp=tty"]],
    ["without any other", ["--seccomp=none"]],
    ["for who has every capability", ["--cap-add", "ALL"]],
  ])("%s", async (_what, args) => {
    const { stdout } = await inside(
      alice,
      [...args, "--no-new-userns"],
      `${script}; unshare -U true || echo no; (echo child); chroot / true && echo chroot`,
    );
    expect(stdout).toBe(`${refused.join("\n")}\nno\nchild\nchroot\n`);
  });
});
