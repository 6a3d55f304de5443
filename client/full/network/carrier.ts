/** User-mode programs that carry a network namespace's packets, and the filter rules of a sandbox. Pure. */
import type { Prefix } from "./own-addresses.ts";

export interface Carrier {
  readonly argv: readonly string[];
  /** The descriptor on which it reports that it is ready, as native/network/network.c requires. */
  readonly readyDescriptor: 1 | 3;
}

/** Standard input is the namespace; the user namespace is already entered. */
const namespacePath = "/proc/self/fd/0";

/**
 * For pasta of 2023 (Debian 12) and 2025 (Debian 13). Newer versions close all descriptors except the first three;
 * older ones do not notice the end of a namespace that is not a file, so isolate-network does both. No port is
 * forwarded in either direction.
 */
export function pasta(path: string, standIn: string | undefined): Carrier {
  const ports = ["-t", "-u", "-T", "-U"].flatMap((option) => [option, "none"]);
  const names = standIn === undefined ? [] : ["--dns-forward", standIn];
  const namespace = ["--netns-only", "--no-netns-quit", "--netns", namespacePath];
  const run = ["--foreground", "--quiet", "--pid", "/proc/self/fd/1"];
  return {
    argv: [path, ...run, ...namespace, "--config-net", "--no-map-gw", ...ports, ...names],
    readyDescriptor: 1,
  };
}

/**
 * Only IPv4, because its IPv6 is experimental. Its nameserver is disabled, because it would expose every port at the
 * address of the host's nameserver.
 */
export function slirp4netns(path: string): Carrier {
  const closed = ["--disable-host-loopback", "--disable-dns", "--enable-sandbox", "--enable-seccomp"];
  const namespace = ["--netns-type=path", namespacePath, "tap0"];
  return { argv: [path, "--configure", "--mtu=65520", ...closed, "--ready-fd=3", ...namespace], readyDescriptor: 3 };
}

/**
 * For nft(8), in the sandbox's network namespace: the host itself is out of reach, at all the addresses that it has. Routes
 * would not do: a socket that is bound to a device passes them by.
 */
export function rules(own: readonly Prefix[]): string {
  const all = [
    { address: "0.0.0.0", length: 8 },
    { address: "127.0.0.0", length: 8 },
    { address: "::", length: 128 },
    { address: "::1", length: 128 },
    ...own,
  ];
  const elements = (ipv6: boolean): string =>
    all
      .filter(({ address }) => address.includes(":") === ipv6)
      .map(({ address, length }) => `${address}/${length}`)
      .join(", ");
  return `table inet isolate {
  set host4 { type ipv4_addr; flags interval; auto-merge; elements = { ${elements(false)} }; }
  set host6 { type ipv6_addr; flags interval; auto-merge; elements = { ${elements(true)} }; }
  chain out {
    type filter hook output priority 0; policy accept;
    oifname "lo" accept
    ip daddr @host4 reject
    ip6 daddr @host6 reject
  }
}
`;
}
