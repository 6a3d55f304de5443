import { expect, test } from "@jest/globals";
import { planNames } from "../../../../../client/full/network/resolver.ts";

const isHosts = (address: string): boolean => ["127.0.0.53", "::1", "192.0.2.7"].includes(address);
const names = (...lines: string[]) => planNames(lines.join("\n"), isHosts);

test("reachable nameservers and the other lines stay", () => {
  expect(
    names(
      "# made by hand",
      "search lan example.org",
      "nameserver 192.0.2.1",
      " nameserver\t2001:db8::1 # 2",
      "options edns0",
    ),
  ).toEqual({
    text: "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch lan example.org\noptions edns0\n",
    standIn: undefined,
  });
});

test.each([
  ["127.0.0.53", "169.254.77.53"],
  ["192.0.2.7", "169.254.77.53"],
  ["::1", "fd49:7361:6c61:7465::53"],
])("the first nameserver is replaced if it is the host's own %s", (address, standIn) => {
  expect(names(`nameserver ${address}`, "options trust-ad")).toEqual({
    text: `nameserver ${standIn}\noptions trust-ad\n`,
    standIn: { address: standIn, for: address },
  });
});

test("only the first of several is replaced; other nameservers of the host are removed, because they cannot be reached", () => {
  expect(names("nameserver 127.0.0.53", "nameserver 192.0.2.7", "nameserver 192.0.2.1").text).toBe(
    "nameserver 169.254.77.53\nnameserver 192.0.2.1\n",
  );
  expect(names("nameserver 192.0.2.1", "nameserver 127.0.0.53")).toEqual({
    text: "nameserver 192.0.2.1\n",
    standIn: undefined,
  });
});

test("an empty file stays empty", () => {
  expect(names("")).toEqual({ text: "", standIn: undefined });
  expect(names("; nameserver 127.0.0.53", "#nameserver ::1")).toEqual({ text: "", standIn: undefined });
});
