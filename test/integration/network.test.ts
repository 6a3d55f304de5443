/** `--net`: which networks a sandbox has, what it cannot reach by them, and that nothing of them is left behind. */
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createHostNetwork, type HostNetwork, own, port, probe, remote } from "../support/host-network.ts";
import { asUser, eventually, finished, must, root, run, start, type User } from "../support/process.ts";
import { program } from "../support/project.ts";
import { alice, bob, createWorld, type World } from "../support/world.ts";

let world: World;
let network: HostNetwork;
let scratch: string;

beforeAll(async () => {
  world = await createWorld();
  network = await createHostNetwork();
  scratch = mkdtempSync(join(tmpdir(), "isolate-network-"));
  await must(["chmod", "777", scratch]);
}, 1_200_000);
afterAll(async () => {
  await network?.close();
  rmSync(scratch, { recursive: true, force: true });
  await world?.close();
}, 300_000);

interface Where {
  readonly as?: User;
  /** Shell: what is different on this host. */
  readonly prepare?: string;
}

/** The client's command line, on the host of this test. */
function client(args: readonly string[], { as = alice, prepare = "" }: Where = {}): string[] {
  const environment = ["env", `ISOLATE_SOCKET=${world.socket}`];
  return network.on([...environment, ...asUser(as, [program("isolate"), ...args])], prepare);
}

const isolate = (args: readonly string[], where?: Where) => run(client(args, where));
const fresh = (...args: string[]): string[] => ["-z", world.template, ...args];
const hide = (name: string): string => `mount --bind /dev/null "$(readlink -f /usr/bin/${name})"`;
const everywhere = (address: string): string[] => [`tcp,${address},${port}`, `udp,${address},${port}`];
const lines = (targets: readonly string[], what: string): string => targets.map((one) => `${one} ${what}\n`).join("");

describe("--net=private", () => {
  test.each([
    ["a user", alice, []],
    ["a user whose range the daemon gave", bob, []],
    ["root", root, []],
    ["a user with --seccomp=tty", alice, ["--seccomp=tty"]],
  ])(
    "%s reaches what is outside of the host, over TCP and UDP, IPv4 and IPv6, and finds names",
    async (_, as, more) => {
      const targets = [...everywhere(remote.ipv4), ...everywhere(remote.ipv6)];
      const script = 'perl "$@"; getent ahostsv4 some.name.test | head -n 1; cat /etc/resolv.conf';
      const [, ...words] = probe(...targets);
      const result = await isolate(fresh("--net=private", ...more, "sh", "-c", script, "sh", ...words), { as });
      const names = "192.0.2.53      STREAM some.name.test\nnameserver 169.254.77.53\n";
      expect(result).toEqual({ code: 0, stderr: "", stdout: `${lines(targets, "remote")}${names}` });
    },
  );

  test("nothing of the host is reached: its loopback, the gateway in its place, its own addresses on any device", async () => {
    const [device] = ["v0"];
    const addresses = ["127.0.0.1", "::1", own.ipv4, own.ipv6, own.other];
    const targets = addresses.flatMap((address) => everywhere(address));
    const bound = ["127.0.0.1", own.ipv4, own.other, "::1"].map((address) => `tcp,${address},${port},${device}`);
    const { stdout } = await isolate(
      fresh("--net=private", ...probe(...targets, ...bound, ...everywhere("169.254.77.53"))),
    );
    expect(stdout.trim().split("\n")).toHaveLength(targets.length + bound.length + 2);
    expect(stdout).not.toMatch(/ (host|remote)$/m);
    // The same servers are there, and are reached where the network is the host's.
    expect((await isolate(fresh("-n", ...probe(...targets)))).stdout).toBe(lines(targets, "host"));
  });

  test("a socket that is bound to the device does send outside, and no packet of its own making can be", async () => {
    const raw =
      "use Socket; print socket(my $s, 17, SOCK_RAW, 0) ? 'raw' : $!; print socket(my $t, PF_INET, SOCK_RAW, 1) ? 'raw' : $!";
    const target = `tcp,${remote.ipv4},${port},v0`;
    expect((await isolate(fresh("--net=private", ...probe(target)))).stdout).toBe(`${target} remote\n`);
    expect((await isolate(fresh("--net=private", "perl", "-e", raw))).stdout).toBe(
      "Operation not permittedOperation not permitted",
    );
  });

  test("in a directory of one's own, where one id is mapped", async () => {
    const directory = join(scratch, "root");
    mkdirSync(directory);
    for (const name of ["usr", "etc", "bin", "lib", "lib64", "sbin", "proc", "dev", "tmp", "home", "root"])
      mkdirSync(join(directory, name));
    await must(["chown", "-R", `${alice.uid}:${alice.gid}`, directory]);
    const binds = ["/usr", "/bin", "/lib", "/lib64", "/etc/ssl"]
      .filter(existsSync)
      .flatMap((one) => ["-d", `${one}:${one}:ro`]);
    const target = `tcp,${remote.ipv4},${port}`;
    const result = await isolate(["-t", directory, ...binds, "--net=private", ...probe(target)]);
    expect(result).toEqual({ code: 0, stderr: "", stdout: `${target} remote\n` });
  });

  test("by slirp4netns where there is no pasta: the same, but it does not stand in for a resolver of the host's own", async () => {
    const addresses = ["127.0.0.1", own.ipv4, own.other, "10.0.2.2", "10.0.2.3"];
    const targets = addresses.flatMap((address) => everywhere(address));
    const outside = everywhere(remote.ipv4);
    const prepare = `${hide("pasta")}; echo nameserver ${remote.ipv4} >/mnt/other; mount --bind /mnt/other "$(readlink -f /etc/resolv.conf)"`;
    const { stdout } = await isolate(fresh("--net=private", ...probe(...outside, ...targets)), { prepare });
    expect(stdout.startsWith(lines(outside, "remote"))).toBe(true);
    expect(stdout).not.toMatch(/ host$/m);
    expect(stdout.trim().split("\n")).toHaveLength(outside.length + targets.length);

    const refused = await isolate(fresh("--net=private", "true"), { prepare: hide("pasta") });
    expect(refused).toMatchObject({ code: 125, stdout: "" });
    expect(refused.stderr).toContain("the host resolves names at its own 127.0.0.53");
  });

  test.each([
    ["no program for it", `${hide("pasta")}; ${hide("slirp4netns")}`, /pasta is not installed.*\n.*install passt/],
    ["no filter", "mount --bind /dev/null /usr/sbin/nft", /nft is not installed.*\n.*install nftables/],
    ["no device", "umount /dev/net; mount -t tmpfs none /dev/net", /\/dev\/net\/tun is missing, or not open/],
    [
      "a device of root's alone, for root",
      "mount -t tmpfs none /dev/net; mknod -m 600 /dev/net/tun c 10 200",
      /\/dev\/net\/tun is missing, or not open/,
      root,
    ],
    [
      "a device that is none",
      "mount -t tmpfs none /dev/net; mknod -m 666 /dev/net/tun c 1 3",
      /cannot give the sandbox a private network: Failed to/,
    ],
  ] as const)("%s: one sentence, and the command has never run", async (_, prepare, sentence, as: User = alice) => {
    const before = await world.settled();
    const where = join(scratch, "ran");
    const args = fresh("--net=private", "-d", `${scratch}:/mnt`, "touch", "/mnt/ran");
    const result = await isolate(args, { as, prepare });
    expect(result).toMatchObject({ code: 125, stdout: "", stderr: expect.stringMatching(sentence) });
    expect(existsSync(where)).toBe(false);
    expect(await world.settled()).toEqual(before);
  });
});

/** What runs beside the sandbox: the program that carries its packets. */
function carrierOf(pid: number): number {
  const childrenOf = (parent: number): number[] =>
    readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  // Of the engine, which is the monitor's only child.
  const beside = childrenOf(pid).flatMap(childrenOf);
  const found = beside.find((child) => /^pas(ta|st)/.test(readFileSync(`/proc/${child}/comm`, "utf8")));
  if (found === undefined) throw new Error(`no pasta among ${beside.join(", ")}, below ${pid}`);
  return found;
}

async function begun(as: User): Promise<{ child: ChildProcess; carrier: number }> {
  const child = start(
    client(
      fresh(
        "--net=private",
        "sh",
        "-c",
        'echo up; read line; perl "$@"',
        "sh",
        ...probe(`tcp,${remote.ipv4},${port}`).slice(1),
      ),
      { as },
    ),
  );
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  return { child, carrier: carrierOf(child.pid ?? 0) };
}

const gone = (pid: number): Promise<unknown> => eventually(`process ${pid} is gone`, () => !existsSync(`/proc/${pid}`));

describe("nothing of a private network is left", () => {
  test.each([
    ["its client is killed", alice, "SIGKILL"],
    ["its client is asked to end", alice, "SIGTERM"],
    ["root's client is killed", root, "SIGKILL"],
  ] as const)("when %s", async (_, as, signal) => {
    const { child, carrier } = await begun(as);
    const end = finished(child, { input: undefined } as object);
    child.kill(signal);
    await end;
    await gone(carrier);
    await world.settled();
  });

  test("when its command ends; and a restart of the daemon does not cut it off", async () => {
    const { child, carrier } = await begun(alice);
    await world.endDaemon("SIGKILL");
    await world.startDaemon();
    expect(existsSync(`/proc/${carrier}`)).toBe(true);
    const { stdout, code } = await finished(child, { input: "\n" });
    expect({ code, stdout }).toEqual({ code: 0, stdout: `tcp,${remote.ipv4},${port} remote\n` });
    await gone(carrier);
    await world.settled();
  });

  test("when what carries its packets is killed: the command goes on without", async () => {
    const { child, carrier } = await begun(alice);
    process.kill(carrier, "SIGKILL");
    await eventually(
      "it has ended",
      () => !existsSync(`/proc/${carrier}/ns/net`) || /\sZ\s/.test(readFileSync(`/proc/${carrier}/stat`, "utf8")),
    );
    const { stdout, code } = await finished(child, { input: "\n" });
    expect(code).toBe(0);
    expect(stdout).not.toContain("remote");
    await gone(carrier);
    await world.settled();
  });
});

describe("original.md: `-n` exposes abstract sockets", () => {
  const abstract = `isolate-test-${process.pid}`;
  /** An address with an @ is an abstract one. */
  const listen = `use Socket; $| = 1; my $at = $ARGV[0] =~ s/^\\@/\\0/r; socket(my $s, PF_UNIX, SOCK_STREAM, 0);
bind($s, pack_sockaddr_un($at)) or die $!; listen($s, 9); chmod 0777, $ARGV[0]; print "up\\n";
while (accept(my $c, $s)) { print $c "reached\\n"; close $c }`;
  const connect = `use Socket; for (@ARGV) { s/^\\@/\\0/; socket(my $s, PF_UNIX, SOCK_STREAM, 0); print connect($s, pack_sockaddr_un($_)) ? <$s> : "$!\\n" }`;
  let servers: ChildProcess[];

  beforeAll(async () => {
    const addresses = [`@${abstract}`, join(scratch, abstract)];
    servers = addresses.map((address) => start(network.on(["perl", "-e", listen, address])));
    await Promise.all(servers.map((server) => new Promise((resolve) => server.stdout?.once("data", resolve))));
  });
  afterAll(async () => {
    for (const server of servers) server.kill("SIGKILL");
    await Promise.all(servers.map((server) => finished(server)));
  });

  const connected = async (args: string[], where?: Where) => {
    const target = [`@${abstract}`, `/mnt/${abstract}`];
    const { stdout, stderr } = await isolate(
      fresh(...args, "-d", `${scratch}:/mnt`, "perl", "-e", connect, ...target),
      where,
    );
    return { stderr, answers: stdout.trim().split("\n") };
  };

  test.each([
    ["a user", alice],
    ["root", root],
  ])("not here: %s is refused, while a socket with a path that was bound is reached", async (_, as) => {
    expect(await connected(["-n"], { as })).toEqual({ stderr: "", answers: ["Operation not permitted", "reached"] });
  });

  test("chroot is refused too", async () => {
    const { stdout } = await isolate(fresh("-e", "chroot", "perl", "-e", connect, `@${abstract}`), { as: root });
    expect(stdout).toBe("Operation not permitted\n");
  });

  test("--abstract-sockets opens them", async () => {
    expect((await connected(["-n", "--abstract-sockets"])).answers).toEqual(["reached", "reached"]);
  });

  test.each(["none", "private"])("there is none of the host's with --net=%s", async (mode) => {
    expect((await connected([`--net=${mode}`])).answers).toEqual(["Connection refused", "reached"]);
  });

  test("those of the sandbox's own are left alone, and mounts in a namespace of its own too", async () => {
    const script =
      'perl -e "$1" @own & sleep 1; perl -e "$2" @own; kill $!; unshare -Urm mount -t tmpfs none /mnt && echo mounted';
    const { stdout, stderr } = await isolate(fresh("-n", "sh", "-c", script, "sh", listen, connect));
    expect({ stdout, stderr }).toEqual({ stderr: "", stdout: "up\nreached\nmounted\n" });
  });
});
