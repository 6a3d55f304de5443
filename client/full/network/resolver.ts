/** Adapts the host's resolv.conf(5) to a sandbox that cannot reach the host. Pure. */

export interface Names {
  /** The sandbox's resolv.conf. */
  readonly text: string;
  /** A made-up nameserver address in the text; it stands for a nameserver at one of the host's own addresses. */
  readonly standIn: StandIn | undefined;
}

export interface StandIn {
  readonly address: string;
  readonly for: string;
}

/** Addresses that no host has: link-local and unique local. */
const standIns = { ipv4: "169.254.77.53", ipv6: "fd49:7361:6c61:7465::53" } as const;

/**
 * `isHosts`: whether an address is one of the host's own. Nameservers there cannot be reached from inside. If the first
 * is one of them (systemd-resolved's 127.0.0.53, dnsmasq), a stand-in replaces it.
 */
export function planNames(hostsText: string, isHosts: (address: string) => boolean): Names {
  const lines = hostsText.split("\n").filter((line) => /^\s*[a-z]/.test(line));
  const servers = lines.flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
  const [first] = servers;
  const standIn =
    first !== undefined && isHosts(first)
      ? { address: first.includes(":") ? standIns.ipv6 : standIns.ipv4, for: first }
      : undefined;
  const reachable = [...(standIn ? [standIn.address] : []), ...servers.filter((server) => !isHosts(server))];
  const others = lines.filter((line) => !/^\s*nameserver\s/.test(line));
  const text = [...reachable.map((server) => `nameserver ${server}`), ...others].map((line) => `${line}\n`).join("");
  return { text, standIn };
}
