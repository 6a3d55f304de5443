import { describe, expect, test } from "@jest/globals";
import { broadcasts, isOwn, ownIpv4, ownIpv6 } from "../../../../../client/full/network/own-addresses.ts";

const trie = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
  +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 172.17.0.1
           /32 host LOCAL
        |-- 192.0.2.2
           /32 host LOCAL
`;

const route = (destination: string, length: string, flags: string): string =>
  `${destination} ${length} ${"0".repeat(32)} 00 ${"0".repeat(32)} 00000000 00000003 00000000 ${flags}     eth0`;
const routes = [
  route("0".repeat(32), "00", "00000003"),
  route("fd990000000000000000000000000000", "40", "00000001"),
  route("fd990000000000000000000000000002", "80", "80200001"),
  route("fd990000000000000000000000000000", "80", "80300001"),
  route("00000000000000000000000000000001", "80", "80200001"),
  route("fe80000000000000508bacfffe6da55c", "80", "80200001"),
  "",
].join("\n");

describe("the host's own addresses", () => {
  test("IPv4: local addresses, but no network and broadcast addresses", () => {
    expect(ownIpv4(trie).map(({ address, length }) => `${address}/${length}`)).toEqual([
      "192.0.2.2/32",
      "127.0.0.0/8",
      "127.0.0.1/32",
      "172.17.0.1/32",
    ]);
    expect(ownIpv4("")).toEqual([]);
  });

  test("broadcasts are told apart from them", () => {
    expect(broadcasts(trie)).toEqual([{ address: "192.0.2.255", length: 32 }]);
    expect(broadcasts("")).toEqual([]);
  });

  test("of IPv6: what is local or anycast, as it is usually written", () => {
    expect(ownIpv6(routes)).toEqual([
      { address: "fd99::2", length: 128 },
      { address: "fd99::", length: 128 },
      { address: "::1", length: 128 },
      { address: "fe80::508b:acff:fe6d:a55c", length: 128 },
    ]);
    expect(ownIpv6("")).toEqual([]);
  });
});

test.each([
  ["127.0.0.53", true],
  ["172.17.0.1", true],
  ["fd99:0:0::2", true],
  ["FE80::508b:acff:fe6d:a55c", true],
  ["192.0.2.1", false],
  ["fd99::1", false],
  ["nonsense", false],
])("%s is the host's own: %s", (address, expected) => {
  expect(isOwn(address, [...ownIpv4(trie), ...ownIpv6(routes)])).toBe(expected);
});
