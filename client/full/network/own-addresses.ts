/** Lists the host's own addresses from the kernel's routes, including addresses of devices that are down. Pure. */

export interface Prefix {
  readonly address: string;
  /** Prefix length in bits. */
  readonly length: number;
}

/** Reads /proc/net/fib_trie. */
export const ownIpv4 = (fibTrie: string): Prefix[] => ofKind(fibTrie, "host LOCAL");

/** Reads /proc/net/fib_trie: returns the broadcast addresses of the host's networks. */
export const broadcasts = (fibTrie: string): Prefix[] => ofKind(fibTrie, "link BROADCAST");

function ofKind(fibTrie: string, kind: "host LOCAL" | "link BROADCAST"): Prefix[] {
  const found = new Map<string, Prefix>();
  let address = "";
  for (const line of fibTrie.split("\n")) {
    address = /^\s*\|-- ([0-9.]+)$/.exec(line)?.[1] ?? address;
    const [, length, said] = /^\s*\/(\d+) (.*)$/.exec(line) ?? [];
    if (length !== undefined && said === kind) found.set(`${address}/${length}`, { address, length: Number(length) });
  }
  return [...found.values()];
}

const RTF_ANYCAST = 0x00100000;
const RTF_LOCAL = 0x80000000;

/**
 * Reads /proc/net/ipv6_route: destination, its length, source, its length, next hop, metric, counters, flags, device.
 */
export function ownIpv6(routes: string): Prefix[] {
  const found = new Map<string, Prefix>();
  for (const line of routes.split("\n")) {
    const fields = line.split(/\s+/);
    const [digits = "", length = ""] = fields;
    const flags = Number.parseInt(fields[8] ?? "0", 16);
    if (!/^[0-9a-f]{32}$/.test(digits) || (flags & (RTF_LOCAL | RTF_ANYCAST)) === 0) continue;
    const address = canonical(digits.replace(/(.{4})(?!$)/g, "$1:")) ?? "";
    found.set(`${address}/${length}`, { address, length: Number.parseInt(length, 16) });
  }
  return [...found.values()];
}

/** Returns the form of RFC 5952, for comparison; `undefined` if it is not an IPv6 address. */
export function canonical(address: string): string | undefined {
  const url = `http://[${address}]`;
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : undefined;
}

export function isOwn(address: string, own: readonly Prefix[]): boolean {
  const plain = canonical(address) ?? address;
  // The only prefix with more than one address on an ordinary host.
  return plain.startsWith("127.") || own.some((prefix) => prefix.address === plain);
}
