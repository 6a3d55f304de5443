/** `--net`: which networks a sandbox has, what it cannot reach by them, and that nothing of them is left behind. */
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { listen, shout } from "../support/datagrams.ts";
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
  scratch = world.scratch();
  await must(["chmod", "777", scratch]);
}, 1_200_000);
afterAll(async () => {
  await network?.close();
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
/** A resolver that slirp4netns leads to as well. */
const remoteResolver = `echo nameserver ${remote.ipv4} >/mnt/other; mount --bind /mnt/other "$(readlink -f /etc/resolv.conf)"`;
const withoutPasta = `${hide("pasta")}; ${remoteResolver}`;
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

  describe("what is sent to everybody reaches nobody, neither on the host nor outside", () => {
    const targets = (device: string, address: string): string[] =>
      [
        ...["224.0.0.1", "224.0.0.251", "239.1.2.3", "255.255.255.255", "10.99.0.255"],
        ...["ff01::1", "ff02::1", "ff02::2"].map((group) => `${group}%${device}`),
        ...["ff05::1", "ff0e::1"],
      ]
        .map((one) => `${one},${port + 1},${one.replace(/%.*/, "")}`)
        .concat(["224.0.0.1", "255.255.255.255"].map((one) => `${one},${port + 1},bound ${one},device,${device}`))
        .concat([`224.0.0.1,${port + 1},by interface,interface,${address}`, `${remote.ipv4},${port + 1},control`]);
    const sent = { stdout: "sent\n", stderr: "", code: 0 };
    const servers = async () => ({
      host: await listen(network.on, port + 1),
      remote: await listen(network.onRemote, port + 1),
    });

    test.each([
      ["by pasta", [], "v0", own.ipv4, ""],
      ["by pasta, for who has every capability", ["--cap-add", "ALL"], "v0", own.ipv4, ""],
      ["by slirp4netns", [], "tap0", "10.0.2.100", withoutPasta],
    ] as const)("%s", async (_, args, device, address, prepare) => {
      const { host, remote } = await servers();
      try {
        const words = shout(...targets(device, address));
        expect(await isolate(fresh("--net=private", ...args, ...words), { prepare })).toEqual(sent);
        expect(await host.heard()).toEqual([]);
        expect(await remote.heard()).toEqual(["control"]);
      } finally {
        await host.close();
        await remote.close();
      }
    });

    test("while the host's own network lets it through", async () => {
      const { host, remote } = await servers();
      try {
        await isolate(fresh("-n", ...shout(...targets("v0", own.ipv4))));
        expect(await host.heard()).toEqual(expect.arrayContaining(["224.0.0.1", "ff02::1"]));
        expect(await remote.heard()).toEqual(expect.arrayContaining(["224.0.0.1", "255.255.255.255", "control"]));
      } finally {
        await host.close();
        await remote.close();
      }
    });
  });

  test("a socket that is bound to the device does send outside", async () => {
    const target = `tcp,${remote.ipv4},${port},v0`;
    expect((await isolate(fresh("--net=private", ...probe(target)))).stdout).toBe(`${target} remote\n`);
  });

  test.each([
    ["for a user", []],
    ["for who has NET_ADMIN, elsewhere", ["--cap-add", "NET_ADMIN"]],
    ["for who has every capability", ["--cap-add", "ALL"]],
    ["without a filter of system calls", ["--seccomp=none"]],
  ])("no packet of a sandbox's own making can be sent, and no rule be changed, %s", async (_, args) => {
    // AF_PACKET, and raw IPv4 and IPv6; then SIOCSIFFLAGS on the device that leads to pasta.
    const script = `use Socket; $\\ = ' '; socket(my $d, PF_INET, SOCK_DGRAM, 0);
print socket(my $s, $_->[0], SOCK_RAW, $_->[1]) ? 'raw' : $! for [17, 0], [PF_INET, 1], [PF_INET, 255], [PF_INET6, 58];
print ioctl($d, 0x8914, my $down = pack('a16 s x14', 'v0', 0)) ? 'down' : $!`;
    const { stdout } = await isolate(fresh("--net=private", ...args, "perl", "-e", script));
    expect(stdout).toBe("Operation not permitted ".repeat(5));
  });

  test("ping goes out, where the host lets its users ping", async () => {
    const ping = `use Socket; $| = 1; for (@ARGV) {
socket(my $s, PF_INET, SOCK_DGRAM, 1) or die $!;
send($s, pack('C2 n3', 8, 0, 0, 0, 1), 0, pack_sockaddr_in(0, inet_aton($_)));
my $ready = ''; vec($ready, fileno($s), 1) = 1;
print "$_ ", select($ready, undef, undef, 1) ? "answers\\n" : "is silent\\n"; }`;
    const prepare = "echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range";
    const args = fresh("--net=private", "perl", "-e", ping, remote.ipv4, "224.0.0.1", "10.99.0.255");
    expect((await isolate(args, { prepare })).stdout).toBe(
      `${remote.ipv4} answers\n224.0.0.1 is silent\n10.99.0.255 is silent\n`,
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
    const { stdout } = await isolate(fresh("--net=private", ...probe(...outside, ...targets)), {
      prepare: withoutPasta,
    });
    expect(stdout.startsWith(lines(outside, "remote"))).toBe(true);
    expect(stdout).not.toMatch(/ host$/m);
    expect(stdout.trim().split("\n")).toHaveLength(outside.length + targets.length);

    const refused = await isolate(fresh("--net=private", "true"), { prepare: hide("pasta") });
    expect(refused).toMatchObject({ code: 125, stdout: "" });
    expect(refused.stderr).toContain("the host's nameserver is at its own address 127.0.0.53");
  });

  describe("where the host has no default route", () => {
    let island: HostNetwork;
    beforeAll(async () => {
      island = await createHostNetwork({ routed: false });
    });
    afterAll(() => island?.close());
    const onIsland = (prepare: string, ...command: string[]) =>
      run(
        island.on(
          ["env", `ISOLATE_SOCKET=${world.socket}`].concat(
            asUser(alice, [program("isolate"), ...fresh("--net=private", ...command)]),
          ),
          prepare,
        ),
      );

    test("pasta, which does not start, leaves it to slirp4netns", async () => {
      const target = `tcp,${remote.ipv4},${port}`;
      const result = await onIsland(remoteResolver, ...probe(target));
      expect(result).toEqual({ code: 0, stderr: "", stdout: `${target} remote\n` });
    });

    test.each([
      [
        "slirp4netns is not installed",
        `${hide("slirp4netns")}; ${remoteResolver}`,
        "apt-get install slirp4netns, or ip ",
      ],
      ["slirp4netns would not lead to the host's resolver", "", "ip "],
    ])("and %s: one sentence with what to do, and nothing runs", async (_, prepare, command) => {
      const before = await world.settled();
      const { code, stdout, stderr } = await onIsland(prepare, "echo", "ran");
      expect({ code, stdout }).toEqual({ code: 125, stdout: "" });
      expect(stderr).toContain(
        `network of its own: pasta does not start, because the host has no default route (as root: ${command}route add default`,
      );
      expect(await world.settled()).toEqual(before);
    });
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
      /cannot give the sandbox a network of its own: pasta does not start \(see the private network in 'isolate doctor'\): Failed to/,
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
