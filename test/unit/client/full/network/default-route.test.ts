import { expect, test } from "@jest/globals";
import { hasDefaultRoute } from "../../../../../client/full/network/default-route.ts";

const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT   \n";
const ipv4 = (destination: string, mask: string, flags: string): string =>
  `${head}eth0\t${destination}\t010200C0\t${flags}\t0\t0\t0\t${mask}\t0\t0\t0   \n`;
const ipv6 = (destination: string, length: string, flags: string): string =>
  `${destination} ${length} ${"0".repeat(32)} 00 ${"0".repeat(32)} ffffffff 00000001 00000000 ${flags}     eth0\n`;
const zeros = "0".repeat(32);

test.each([
  ["by IPv4", ipv4("00000000", "00000000", "0003"), "", true],
  ["by IPv6", head, ipv6(zeros, "00", "00000003"), true],
  ["nowhere", "", "", false],
  ["a network that begins with zeros", ipv4("00000000", "0000007F", "0001"), ipv6(zeros, "60", "00000001"), false],
  ["an ordinary network", ipv4("000200C0", "00FFFFFF", "0001"), ipv6(`fd${"0".repeat(30)}`, "40", "00000001"), false],
  ["one that refuses", ipv4("00000000", "00000000", "0201"), ipv6(zeros, "00", "00200200"), false],
])("a default route: %s", (_, routes4, routes6, expected) => {
  expect(hasDefaultRoute(routes4, routes6)).toBe(expected);
});
