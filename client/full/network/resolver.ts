/** The host's resolv.conf(5), for a sandbox that cannot reach the host itself. Pure. */

export interface Names {
  /** Of a resolv.conf for the sandbox. */
  readonly text: string;
  /** A nameserver of that text which is none, and stands for one at an address of the host's own. */
  readonly standIn: StandIn | undefined;
}

export interface StandIn {
  readonly address: string;
  readonly for: string;
}

/** Nobody's: link-local, and unique local. */
const standIns = { ipv4: "169.254.77.53", ipv6: "fd49:7361:6c61:7465::53" } as const;

/**
 * `isHosts`: whether an address is one of the host's own. Nameservers there cannot be reached from inside; where the first
 * one is such a one (systemd-resolved's 127.0.0.53, dnsmasq), something else stands for it.
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
