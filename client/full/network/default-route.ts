/** Finds the host's default route in the kernel's files. Pure. */

const RTF_UP = 0x0001;
const RTF_REJECT = 0x0200;

/** Whether /proc/net/route or /proc/net/ipv6_route has a usable default route. */
export function hasDefaultRoute(ipv4: string, ipv6: string): boolean {
  const leads = (flags: string | undefined): boolean =>
    (Number.parseInt(flags ?? "0", 16) & (RTF_UP | RTF_REJECT)) === RTF_UP;
  const rows = (text: string): string[][] => text.split("\n").map((line) => line.trim().split(/\s+/));
  // Interface, destination, gateway, flags, three counters, mask.
  const byIpv4 = rows(ipv4).some((row) => row[1] === "00000000" && row[7] === "00000000" && leads(row[3]));
  // Destination, its length, source, its length, next hop, metric, two counters, flags, device.
  const byIpv6 = rows(ipv6).some((row) => /^0{32}$/.test(row[0] ?? "") && row[1] === "00" && leads(row[8]));
  return byIpv4 || byIpv6;
}
