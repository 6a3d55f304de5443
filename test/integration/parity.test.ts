/**
 * Everything that the bash script of the same name did must work here on each engine that claims it, and its faults
 * must be impossible: the rows and sentences of that comparison that no other file covers. (lxc: test/system/lxc.test.ts.)
 * Also the scenarios of bubblewrap's tests/test-run.sh and firejail's chroot tests.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { debianTar } from "../support/debian-root.ts";
import { must, type Outcome, root, run, type User } from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, createWorld, type World } from "../support/world.ts";

let world: World;
let scratch: string;

/** Each caller's own root filesystem, for -t. */
const ownRoot = (as: User): string => join(scratch, as === root ? "roots" : "hers");

beforeAll(async () => {
  world = await createWorld();
  scratch = world.scratch();
  for (const as of [alice, root]) {
    const directory = ownRoot(as);
    mkdirSync(directory);
    await must(["tar", "-C", directory, "--exclude=./dev/*", "-xf", await debianTar()], { patience: 900_000 });
    await must(["chown", "-hR", `${as.uid}:${as.gid}`, directory]);
  }
}, 1_800_000);
afterAll(() => world.close(), 300_000);

const inside = (script: string, args: readonly string[] = [], options = {}): Promise<Outcome> =>
  world.isolate(["-z", world.template, ...args, "sh", "-c", script], options);

/** The chroot engine warns that it does not isolate. */
const withoutWarning = ({ code, stdout, stderr }: Outcome) => ({
  code,
  stdout,
  stderr: stderr.replace(/^isolate: the engine 'chroot' does not isolate.*\n(?: {2}.*\n)?/, ""),
});

describe.each([
  ["bwrap, an ordinary user", "bwrap", alice],
  ["bwrap, root", "bwrap", root],
  ["chroot, root", "chroot", root],
] as const)("kept by %s:", (_name, engine, as) => {
  const on = async (...args: string[]) => withoutWarning(await world.isolate(["-e", engine, ...args], { as }));
  const inClone = (script: string) => on("-z", world.template, "sh", "-c", script);

  test("-z: a clone that is discarded after use", async () => {
    expect(await inClone("touch /var/m /etc/m /m")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await inClone("test -e /var/m || test -e /etc/m || test -e /m")).toEqual({
      code: 1,
      stdout: "",
      stderr: "",
    });
  });

  test("-t: needs no pool or daemon, and changes in the directory stay and belong to the caller", async () => {
    const directory = ownRoot(as);
    const args = ["-e", engine, "--socket=/nowhere", "-t", directory, "sh", "-c", "id -u; echo mine > /m"];
    const outcome = withoutWarning(await world.isolate(args, { as }));
    expect(outcome).toEqual({ code: 0, stdout: "0\n", stderr: "" });
    expect(readFileSync(join(directory, "m"), "utf8")).toBe("mine\n");
    expect(await must(["stat", "-c", "%u:%g", join(directory, "m")])).toBe(`${as.uid}:${as.gid}\n`);
    rmSync(join(directory, "m"));
  });

  test.each([
    ["the command's own", ["sh", "-c", "exit 42"], 42],
    ["127 for a command that does not exist", ["no-such-command"], 127],
    ["126 for a command that cannot be executed", ["/etc/passwd"], 126],
    ["143 for a command that TERM ended", ["sh", "-c", "kill -TERM $$"], 143],
  ])("exit status: %s", async (_what, command, code) => {
    expect((await on("-z", world.template, ...command)).code).toBe(code);
  });

  test("-x traces the commands that run, on stderr only", async () => {
    const { code, stdout, stderr } = await on("-x", "-z", world.template, "echo", "a b");
    expect({ code, stdout }).toEqual({ code: 0, stdout: "a b\n" });
    expect(stderr).toMatch(/^isolate: exec: \/\S+ .* echo 'a b'$/m);
    expect(stderr).toMatch(/^isolate: lease \S+ of \S+ at \S+$/m);
  });

  test("-q prints no info line but every warning, -h prints the help", async () => {
    const quiet = await world.isolate(["-q", "-e", engine, "--seccomp=none", "-z", world.template, "true"], { as });
    expect(quiet.stderr.match(/^isolate: /gm)).toHaveLength(engine === "chroot" ? 2 : 1);
    expect(quiet.stderr).toContain("isolate: no system call is blocked");
    const help = await on("-h");
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toMatch(/^isolate: .*\n\nusage: /);
  });

  test("DISABLE_SECCOMP_WRAPPER: no filter, with a warning", async () => {
    const args = ["-e", engine, "-z", world.template, "grep", "^Seccomp:", "/proc/self/status"];
    const env = { DISABLE_SECCOMP_WRAPPER: "1" };
    const outcome = withoutWarning(await world.isolate(args, { as, env }));
    expect(outcome).toMatchObject({ code: 0, stdout: "Seccomp:\t0\n" });
    expect(outcome.stderr).toContain("isolate: no system call is blocked");
  });
});

describe("kept:", () => {
  test("bwrap's profile: its own namespaces, a tmpfs on /tmp, the clone's name as host name, PATH set", async () => {
    const namespaces = "for n in ipc pid uts cgroup net mnt user; do readlink /proc/self/ns/$n; done";
    const shown = await inside(`${namespaces}; stat -f -c %T /tmp; ls -A /tmp | wc -l; echo $PATH; hostname`);
    const lines = shown.stdout.trim().split("\n");
    const host = (await must(["sh", "-c", namespaces])).trim().split("\n");
    expect(lines.slice(0, 7).filter((line) => host.includes(line))).toEqual([]);
    expect(lines.slice(7, 10)).toEqual(["tmpfs", "0", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
    expect(lines[10]).toMatch(/^debian_\d+$/);
  });

  test("-r with a bad count changes nothing, with any other option", async () => {
    const names = () => readdirSync(join(world.state, "overlay/clones")).sort();
    await world.settled();
    const before = names();
    expect(before).toHaveLength(3);
    for (const more of [["101"], ["101", "-f"], ["-1", "-s"]])
      expect((await world.isolate(["-r", world.template, ...more], { as: root })).code).toBe(125);
    expect(names()).toEqual(before);
  });
});

describe("impossible:", () => {
  test("a refresh destroys a clone after it is taken and before it is marked as in use", async () => {
    const refresh = async () => {
      for (let round = 0; round < 4; round++)
        expect((await world.isolate(["-r", world.template, "3", "-f"], { as: root })).code).toBe(0);
    };
    const script =
      "echo $0 > /etc/mine; for i in 1 2 3 4 5 6; do sleep 0.05; ls /usr/bin >/dev/null || exit 1; done; cat /etc/mine";
    const runs = Array.from({ length: 16 }, async (_, index) => {
      const { code, stdout } = await world.isolate(["-z", world.template, "sh", "-c", script, String(index)]);
      expect({ code, stdout }).toEqual({ code: 0, stdout: `${index}\n` });
    });
    await Promise.all([refresh(), ...runs]);
    await world.settled();
  });

  test("another user prepares a pid file, a list or a lock: the client creates no file at all", async () => {
    const trace = join(ownRoot(alice), "trace");
    const command = [program("isolate"), "-z", world.template, "true"];
    await must(["strace", "-f", "-z", "-e", "trace=%file", "-o", trace, ...command], {
      as: alice,
      env: { ISOLATE_SOCKET: world.socket },
    });
    const lines = readFileSync(trace, "utf8").split("\n");
    const engine = lines.findIndex((line) => /execve\("[^"]*\/bwrap"/.test(line));
    expect(engine).toBeGreaterThan(0);
    const makes = /O_CREAT|O_TMPFILE|\b(mkdir|mknod|symlink|link|rename|unlink|rmdir|chmod|chown|creat|truncate)/;
    expect(lines.slice(0, engine).filter((line) => makes.test(line))).toEqual([]);
  });

  test("the caller's environment decides which program runs, and where", async () => {
    const variables = "ISOLATE_ZFSMOUNTPOINT ROOTFS rootfs TEMPLATE template ZFS_TEMPLATE zfs_template DIR BASE";
    const paths = Object.fromEntries(variables.split(" ").map((name) => [name, "/"]));
    const switches = { ENGINE: "chroot", engine: "chroot", X11: "1", NET: "1", net: "1", PULSE: "1", DIRS: "/:/mnt" };
    const script = `test -e ${scratch} && echo the host; ls /mnt; ls /sys/class/net; env`;
    const { stdout, code } = await inside(script, [], { env: { ...paths, ...switches } });
    expect(code).toBe(0);
    expect(stdout).not.toContain("the host");
    const named = new RegExp(`^(${[...Object.keys(paths), ...Object.keys(switches)].join("|")})=`, "m");
    expect(stdout).not.toMatch(named);
  });

  test.each([
    ["bwrap", alice],
    ["bwrap", root],
    ["chroot", root],
  ] as const)("the wrapper is looked up in the untrusted root (%s)", async (engine, as) => {
    const directory = ownRoot(as);
    const names = ["bwrap", "isolate-init", "isolate-seccomp", "isolate", "seccomp_wrapper"];
    const planted = names.flatMap((name) =>
      ["dev", "usr/bin", "usr/lib/isolate"].map((at) => join(directory, at, name)),
    );
    mkdirSync(join(directory, "usr/lib/isolate"));
    for (const path of planted) writeFileSync(path, `#!/bin/sh\necho ran ${path}\n`, { mode: 0o755 });
    try {
      const args = ["-e", engine, "-t", directory, "grep", "^Seccomp:", "/proc/self/status"];
      const outcome = withoutWarning(await world.isolate(args, { as }));
      expect(outcome).toEqual({ code: 0, stdout: "Seccomp:\t2\n", stderr: "" });
    } finally {
      for (const path of planted) rmSync(path, { force: true });
      rmSync(join(directory, "usr/lib/isolate"), { recursive: true });
    }
  });

  test("a star in an option or the command is expanded", async () => {
    const directory = join(scratch, "stars");
    mkdirSync(join(directory, "*"), { recursive: true });
    for (const name of ["a", "b"]) writeFileSync(join(directory, name), name);
    writeFileSync(join(directory, "*/inner"), "the star's own");
    const args = [
      "-d",
      "*:/mnt/*",
      "-v",
      "A:*",
      "-z",
      world.template,
      "sh",
      "-c",
      'cat /mnt/*/inner; echo " $A" "$0"',
      "*",
    ];
    const { stdout, code } = await world.isolate(args, { cwd: directory });
    expect({ stdout, code }).toEqual({ stdout: "the star's own * *\n", code: 0 });
  });

  test.each([
    ["alice", alice],
    ["root", root],
  ] as const)("a container path is resolved through a link out of the root, for %s", async (_who, as) => {
    const directory = ownRoot(as);
    const victim = join(scratch, "victim");
    const source = join(scratch, "source");
    for (const made of [victim, source]) mkdirSync(made, { mode: 0o777 });
    for (const made of [victim, source]) chmodSync(made, 0o777);
    const links = { straight: victim, old: `/oldroot${victim}`, up: `../../../../../../../..${victim}` };
    for (const [name, to] of Object.entries(links)) await must(["ln", "-s", to, join(directory, name)]);
    try {
      for (const name of Object.keys(links)) {
        const args = ["-t", directory, "-d", `${source}:/${name}/made`, "sh", "-c", `echo in > /${name}/made/file`];
        const outcome = await world.isolate(args, { as });
        expect({ name, ...outcome }).toEqual({ name, code: 0, stdout: "", stderr: "" });
        expect(readFileSync(join(source, "file"), "utf8")).toBe("in\n");
        rmSync(join(source, "file"));
        expect(readdirSync(victim)).toEqual([]);
      }
    } finally {
      for (const name of Object.keys(links)) rmSync(join(directory, name));
      rmSync(victim, { recursive: true });
      rmSync(source, { recursive: true });
    }
  });

  test("an engine is missing: one error names its package, and no clone is used", async () => {
    const before = await world.settled();
    // In the test's own mount namespace.
    const hidden = 'mount --bind /dev/null "$(command -v bwrap)"; exec "$0" -z "$1" echo ran';
    const command = ["unshare", "-m", "sh", "-c", hidden, program("isolate"), world.template];
    expect(await run(command, { env: { ISOLATE_SOCKET: world.socket } })).toEqual({
      code: 125,
      stdout: "",
      stderr: "isolate: cannot run: bwrap is not installed\n  install it: apt-get install bubblewrap\n",
    });
    expect(await world.settled()).toEqual(before);
  });
});

describe("from inside,", () => {
  test("/dev holds the expected nodes and nothing else", async () => {
    const { stdout } = await inside("ls -A /dev; find /dev -type b; find /dev/pts /dev/shm -mindepth 1 ! -name ptmx");
    expect(stdout.trim().split("\n")).toEqual(
      "core fd full isolate-init null ptmx pts random shm stderr stdin stdout tty urandom zero".split(" "),
    );
  });

  test("su, sudo and other set-user-id programs grant no new privileges", async () => {
    const script = `cp /usr/bin/id /usr/bin/env /opt; chmod u+s /opt/id /opt/env
setpriv --reuid 33 --regid 33 --clear-groups /opt/id -u
setpriv --reuid 33 --regid 33 --clear-groups /opt/env setpriv --reuid 0 id -u
setpriv --reuid 33 --regid 33 --clear-groups su -c 'echo root' </dev/null
grep NoNewPrivs /proc/self/status`;
    for (const as of [alice, root]) expect((await inside(script, [], { as })).stdout).toBe("33\nNoNewPrivs:\t1\n");
  });

  test.each([
    ["bwrap", alice, "input", "</"],
    ["bwrap", root, "error", "2</"],
    ["chroot", root, "output", "1</"],
  ] as const)(
    "a kept descriptor offers no way out: %s does not start if standard %s is a directory",
    async (...row) => {
      const [engine, as, which, redirection] = row;
      const line = `"$0" -q -e ${engine} -z "$1" sh -c 'ls -d /proc/self/fd/[012]/etc >/out && cat /out' ${redirection}`;
      const command = ["sh", "-c", line, program("isolate"), world.template];
      const { code, stdout, stderr } = await run(command, { as, env: { ISOLATE_SOCKET: world.socket } });
      expect({ code, stdout }).toEqual({ code: 125, stdout: "" });
      if (which !== "error") expect(stderr).toContain(`standard ${which} is a directory, which would lead out`);
    },
  );

  test("chroot(2) and a kept descriptor offer no way out: fchdir and .. end at the sandbox's own root", async () => {
    const climb = `opendir my $d, "/" or die; mkdir "/x"; chroot "/x" or die; chdir $d or die; chdir ".." for 1..100;
chroot "." or die; print -e "${scratch}" ? "out" : "in"; print " ", join ",", grep { /oldroot|newroot/ } glob "/*"`;
    for (const as of [alice, root])
      expect((await world.isolate(["-z", world.template, "perl", "-e", climb], { as })).stdout).toBe("in ");
  });
});
