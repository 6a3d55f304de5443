/**
 * `--net=private`: the sandbox's own network namespace, which a host program connects to the world outside the host.
 * Nothing is started here: isolate-network starts the programs, and they end with the engine however that ends.
 */
import { IsolateError } from "../../../protocol/errors.ts";
import { findOwn, lookUp } from "../../run/host.ts";
import { missingProgram } from "../../run/host-programs.ts";
import type { Libc } from "../../run/linux/libc.ts";
import type { PrivateNetwork } from "../../run/plan.ts";
import { type Carrier, notStarted, pasta, rules, slirp4netns } from "./carrier.ts";
import { hasDefaultRoute } from "./default-route.ts";
import { broadcasts, isOwn, ownIpv4, ownIpv6 } from "./own-addresses.ts";
import { planNames, type StandIn } from "./resolver.ts";
import { mayOpenTun } from "./tun.ts";

/** Prepares the network. Throws `missing-program`, `missing-protection`, `no-private-network` and `system-call`. */
export function preparePrivateNetwork(libc: Libc): PrivateNetwork {
  const path = findOwn("isolate-network", libc);
  const filter = lookUp("nft", libc);
  if (filter === undefined) throw missingProgram("nft");
  const trie = libc.readTextIfAny("/proc/net/fib_trie");
  if (trie === undefined) throw cannot("the host's own addresses cannot be read from /proc/net/fib_trie", "");
  const ipv6Routes = libc.readTextIfAny("/proc/net/ipv6_route") ?? "";
  const own = [...ownIpv4(trie), ...ownIpv6(ipv6Routes)];
  const isRouted = hasDefaultRoute(libc.readTextIfAny("/proc/net/route") ?? "", ipv6Routes);
  const hostsText = libc.readTextIfAny("/etc/resolv.conf");
  const names = hostsText === undefined ? undefined : planNames(hostsText, (address) => isOwn(address, own));
  const carrier = chooseCarrier(names?.standIn, isRouted, libc);
  const rulesFile = libc.memoryFile(rules([...own, ...broadcasts(trie)]));
  const [outside, inside] = libc.socketPair();
  const numbers = ["--socket", outside, "--rules", rulesFile, "--ready-fd", carrier.readyDescriptor].map(String);
  const options = [...numbers, "--failure", carrier.failure];
  return {
    connection: {
      path,
      argv: [...options, filter, "-f", "-", "--", ...carrier.argv, "--"],
      descriptors: [outside, rulesFile],
    },
    socket: inside,
    resolvConf: names && libc.memoryFile(names.text),
  };
}

/** `isRouted`: whether the host has a default route; pasta before the releases of 2025 does not start without one. */
function chooseCarrier(standIn: StandIn | undefined, isRouted: boolean, libc: Libc): Carrier {
  const pastaPath = lookUp("pasta", libc);
  const slirpPath = lookUp("slirp4netns", libc);
  if (pastaPath === undefined && slirpPath === undefined) throw missingProgram("pasta");
  if (!mayOpenTun(libc.uid()))
    throw cannot("/dev/net/tun is missing, or not open to every user", "as root: modprobe tun; chmod 666 /dev/net/tun");
  const slirpServes = slirpPath !== undefined && standIn === undefined;
  if (pastaPath !== undefined && (isRouted || !slirpServes))
    return pasta(pastaPath, standIn?.address, isRouted ? notStarted("pasta") : withoutRoute(standIn));
  if (standIn !== undefined)
    throw cannot(
      `the host's nameserver is at its own address ${standIn.for}, and slirp4netns would expose everything there`,
      "install pasta: apt-get install passt",
    );
  return slirp4netns(slirpPath ?? "");
}

function withoutRoute(standIn: StandIn | undefined): string {
  const route = "ip route add default via GATEWAY";
  const other = standIn === undefined ? `apt-get install slirp4netns, or ${route}` : route;
  return `pasta does not start, because the host has no default route (as root: ${other})`;
}

function cannot(wrong: string, fix: string): IsolateError {
  return new IsolateError("no-private-network", { wrong, fix });
}
