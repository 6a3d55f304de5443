/** Datagrams that are sent to everybody, and a server of UDP that joined no group and hears of them or does not. */
import { eventually, finished, must, start } from "./process.ts";

/** Perl, which every Debian has: binds UDP to 0.0.0.0 and to [::], and prints what comes. */
const listener = `
use Socket qw(:all); $| = 1;
my ($port) = @ARGV;
socket(my $v4, PF_INET, SOCK_DGRAM, 0) && socket(my $v6, PF_INET6, SOCK_DGRAM, 0) or die $!;
setsockopt($v6, IPPROTO_IPV6, IPV6_V6ONLY, 1) or die $!;
bind($v4, pack_sockaddr_in($port, INADDR_ANY)) && bind($v6, pack_sockaddr_in6($port, IN6ADDR_ANY)) or die $!;
print "up\\n";
for (;;) {
  my $wanted = "";
  vec($wanted, fileno($_), 1) = 1 for $v4, $v6;
  my $ready = $wanted;
  select($ready, undef, undef, undef);
  for ($v4, $v6) {
    my $text;
    vec($ready, fileno($_), 1) and defined(recv($_, $text, 100, 0)) and print "$text\\n";
  }
}`;

const sender = `
use Socket qw(:all);
for (@ARGV) {
  my ($address, $port, $text, $how, $value) = split /,/;
  my ($wrong, $to) = getaddrinfo($address, $port, {flags => AI_NUMERICHOST, socktype => SOCK_DGRAM});
  $wrong and die "$address: $wrong";
  socket(my $socket, $to->{family}, SOCK_DGRAM, 0) or die $!;
  setsockopt($socket, SOL_SOCKET, SO_BROADCAST, 1) or die $!;
  my ($level, $option, $name) = !$how ? (SOL_SOCKET, SO_BROADCAST, 1)
    : $how eq "device" ? (SOL_SOCKET, 25, "$value\\0") : (IPPROTO_IP, 32, inet_aton($value));
  setsockopt($socket, $level, $option, $name) or die "$how $!";
  send($socket, $text, 0, $to->{addr});
}
print "sent\\n";`;

/**
 * Sends `ADDRESS,PORT,TEXT` for each, and never fails because of where it is sent. `,device,NAME` binds the socket to a
 * device (SO_BINDTODEVICE), `,interface,ADDRESS` names the one that groups are reached by (IP_MULTICAST_IF).
 */
export const shout = (...targets: string[]): string[] => ["perl", "-e", sender, ...targets];

/** `at` is put in front of a command, to start it where the server is to be. */
export async function listen(at: (command: readonly string[]) => string[], port: number) {
  const child = start(at(["perl", "-e", listener, String(port)]));
  let heard = "";
  await new Promise((resolve, reject) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      heard += chunk;
      resolve(undefined);
    });
    child.once("exit", () => reject(new Error("the server has ended")));
  });
  const ended = finished(child, { input: undefined, patience: 600_000 } as object);
  return {
    /** What came until now, each once. */
    async heard(): Promise<string[]> {
      await eventually("the last one is heard", async () => {
        await must(at(shout(`127.0.0.1,${port},the last`)));
        return heard.includes("the last\n");
      });
      const lines = heard.split("\n").filter((line) => !["", "up", "the last"].includes(line));
      return [...new Set(lines)].sort();
    },
    async close(): Promise<void> {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
