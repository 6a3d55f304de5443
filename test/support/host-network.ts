/**
 * The network of a host for one test: a namespace with a route over a veth(4), a remote machine at its other end,
 * servers on both, and a /dev/net/tun that every user may open, as udev sets it up. It has no address of the real
 * machine.
 */
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { finished, must, start } from "./process.ts";
import { projectRoot } from "./project.ts";

/** A device as udev makes it, which this machine may keep from its users. */
const makeTun = "mount -t tmpfs -o mode=755 none /dev/net && mknod -m 666 /dev/net/tun c 10 200";

/** Put in front of a command that needs the device. */
export const withTun: readonly string[] = [
  ...["unshare", "-m", "--propagation", "slave", "sh", "-c", `${makeTun} && exec "$@"`, "sh"],
];

export const port = 7777;
export const remote = { ipv4: "10.99.0.1", ipv6: "fd99::1" };
/** `other`: an address on another device than the default route's. */
export const own = { ipv4: "10.99.0.2", ipv6: "fd99::2", other: "172.30.0.1" };

const set = (ipv4: string, ipv6: string): string =>
  `ip addr add ${ipv4}/24 dev v0 && ip addr add ${ipv6}/64 dev v0 nodad && ip link set v0 up && ip link set lo up`;

export type HostNetwork = Awaited<ReturnType<typeof createHostNetwork>>;

/** `routed`: the host has a way to more than what is on its wire. */
export async function createHostNetwork({ routed = true } = {}) {
  const children: ChildProcess[] = [];
  const spawned = async (command: readonly string[]): Promise<number> => {
    const child = start(command);
    children.push(child);
    await new Promise((resolve, reject) => {
      child.stdout?.once("data", resolve);
      child.once("exit", () => reject(new Error(`${command.join(" ")} ended`)));
    });
    return child.pid ?? 0;
  };
  const namespace = (more: string): Promise<number> =>
    spawned(["unshare", "--net", "--mount", "--propagation", "slave", "sh", "-c", `${more} echo up; exec sleep 3600`]);
  const enter = (pid: number): string[] => [
    "nsenter",
    `--net=/proc/${pid}/ns/net`,
    `--mount=/proc/${pid}/ns/mnt`,
    "--",
  ];

  async function close(): Promise<void> {
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.map((child) => (child.exitCode ?? child.signalCode) || finished(child)));
  }

  try {
    const outside = await namespace("");
    const host = await namespace(
      `${makeTun} && mount -t tmpfs none /mnt && echo nameserver 127.0.0.53 >/mnt/resolv.conf &&` +
        ' mount --bind /mnt/resolv.conf "$(readlink -f /etc/resolv.conf)" &&',
    );
    await must([
      ...enter(host),
      "ip",
      "link",
      "add",
      "v0",
      "type",
      "veth",
      "peer",
      "name",
      "v0",
      "netns",
      String(outside),
    ]);
    await must([...enter(outside), "sh", "-c", set(remote.ipv4, remote.ipv6)]);
    const routes = routed
      ? `ip route add default via ${remote.ipv4} && ip -6 route add default via ${remote.ipv6}`
      : "true";
    await must([
      ...enter(host),
      "sh",
      "-c",
      `${set(own.ipv4, own.ipv6)} && ${routes} && ip addr add ${own.other}/32 dev lo`,
    ]);
    const server = (name: string): string[] => [
      "node",
      join(projectRoot, "dist/js/test/support/outside.js"),
      name,
      String(port),
    ];
    await spawned([...enter(outside), ...server("remote")]);
    await spawned([...enter(host), ...server("host")]);
    return {
      /** In front of a command on the remote machine. */
      onRemote: (command: readonly string[]): string[] => [...enter(outside), ...command],
      /** In front of a command. `prepare`: shell, in a mount namespace of that command's own. */
      on: (command: readonly string[], prepare = ""): string[] =>
        prepare === ""
          ? [...enter(host), ...command]
          : [
              ...enter(host),
              "unshare",
              "--mount",
              "--propagation",
              "slave",
              "sh",
              "-ec",
              `${prepare}\nexec "$@"`,
              "sh",
              ...command,
            ],
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * In Perl, which every Debian has. Connects to each `KIND,ADDRESS,PORT[,DEVICE]` and prints the answer, or the error.
 */
const prober = `
use Socket qw(:all); $| = 1;
for (@ARGV) {
  my ($kind, $address, $port, $device) = split /,/;
  my $type = $kind eq "tcp" ? SOCK_STREAM : SOCK_DGRAM;
  my ($wrong, $to) = getaddrinfo($address, $port, {flags => AI_NUMERICHOST, socktype => $type});
  socket(my $socket, $to->{family}, $type, 0) or die $!;
  setsockopt($socket, SOL_SOCKET, 25, "$device\\0") || die "bind to $device: $!" if $device;
  my $got = eval {
    local $SIG{ALRM} = sub { die "silence\\n" };
    alarm 1;
    connect($socket, $to->{addr}) or die "$!\\n";
    $kind eq "tcp" or send($socket, "x", 0) or die "$!\\n";
    defined(sysread($socket, my $text, 100)) or die "$!\\n";
    $text;
  } // $@;
  alarm 0;
  print "$_ $got";
}`;

export const probe = (...targets: string[]): string[] => ["perl", "-e", prober, ...targets];
