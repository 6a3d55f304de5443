/** User-mode programs that carry a network namespace's packets, and the filter rules of a sandbox. Pure. */
import type { Prefix } from "./own-addresses.ts";

export interface Carrier {
  readonly argv: readonly string[];
  /** The descriptor on which it reports that it is ready, as native/network/network.c requires. */
  readonly readyDescriptor: 1 | 3;
  /** The text before its own error if it does not start: says so, and what to do. */
  readonly failure: string;
}

/** Standard input is the namespace; the user namespace is already entered. */
const namespacePath = "/proc/self/fd/0";

/**
 * For pasta of 2023 (Debian 12) and 2025 (Debian 13). Newer versions close all descriptors except the first three;
 * older ones do not notice the end of a namespace that is not a file, so isolate-network does both. No port is
 * forwarded in either direction.
 */
export function pasta(path: string, standIn: string | undefined, failure: string): Carrier {
  const ports = ["-t", "-u", "-T", "-U"].flatMap((option) => [option, "none"]);
  const names = standIn === undefined ? [] : ["--dns-forward", standIn];
  const namespace = ["--netns-only", "--no-netns-quit", "--netns", namespacePath];
  const run = ["--foreground", "--quiet", "--pid", "/proc/self/fd/1"];
  return {
    argv: [path, ...run, ...namespace, "--config-net", "--no-map-gw", ...ports, ...names],
    readyDescriptor: 1,
    failure,
  };
}

/** Returns the text for a host without a known fault. */
export function notStarted(program: string): string {
  return `${program} does not start (see the private network in 'isolate doctor')`;
}

/**
 * Only IPv4, because its IPv6 is experimental. Its nameserver is disabled, because it would expose every port at the
 * address of the host's nameserver.
 */
export function slirp4netns(path: string): Carrier {
  const closed = ["--disable-host-loopback", "--disable-dns", "--enable-sandbox", "--enable-seccomp"];
  const namespace = ["--netns-type=path", namespacePath, "tap0"];
  return {
    argv: [path, "--configure", "--mtu=65520", ...closed, "--ready-fd=3", ...namespace],
    readyDescriptor: 3,
    failure: notStarted("slirp4netns"),
  };
}

/** IPv4 and IPv6 addresses of this host, its loopback, all groups, and the local broadcast. */
const nobodys4 = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"];
const nobodys6 = ["::/128", "::1/128", "ff00::/8"];

/**
 * Returns rules for nft(8) in the sandbox's network namespace: only TCP, UDP and ping go out. The host is blocked at all its
 * addresses. Groups and broadcasts are blocked too, because pasta forwards them, and the host's kernel delivers them to every
 * socket that is bound to any address. Routes are not enough, because a socket that is bound to a device bypasses them.
 * Neighbour discovery is done by the kernel; nobody inside can make such packets.
 */
export function rules(closed: readonly Prefix[]): string {
  const elements = (ipv6: boolean): string =>
    (ipv6 ? nobodys6 : nobodys4)
      .concat(
        closed
          .filter(({ address }) => address.includes(":") === ipv6)
          .map(({ address, length }) => `${address}/${length}`),
      )
      .join(", ");
  return `table inet isolate {
  set closed4 { type ipv4_addr; flags interval; auto-merge; elements = { ${elements(false)} }; }
  set closed6 { type ipv6_addr; flags interval; auto-merge; elements = { ${elements(true)} }; }
  chain out {
    type filter hook output priority 0; policy drop;
    oifname "lo" accept
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept
    ip daddr @closed4 reject
    ip6 daddr @closed6 reject
    meta l4proto { tcp, udp } accept
    icmp type echo-request accept
    icmpv6 type echo-request accept
  }
}
`;
}
