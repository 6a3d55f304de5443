import { describe, expect, test } from "@jest/globals";
import { pasta, rules, slirp4netns } from "../../../../../client/full/network/carrier.ts";

describe("pasta", () => {
  // Without each of these options, pasta opens a connection.
  test.each(["--no-map-gw", "-t none", "-u none", "-T none", "-U none"])("%s", (words) => {
    expect(pasta("/usr/bin/pasta", undefined, "").argv.join(" ")).toContain(` ${words}`);
  });

  test("names are forwarded only if an address stands for the host's own nameserver", () => {
    expect(pasta("/usr/bin/pasta", undefined, "").argv).not.toContain("--dns-forward");
    expect(pasta("/usr/bin/pasta", "169.254.77.53", "").argv.slice(-2)).toEqual(["--dns-forward", "169.254.77.53"]);
  });

  test("stays in the foreground, so that it dies with the engine", () => {
    expect(pasta("/usr/bin/pasta", undefined, "")).toMatchObject({
      readyDescriptor: 1,
      argv: expect.arrayContaining(["--foreground", "/proc/self/fd/0", "/proc/self/fd/1"]),
    });
  });
});

test("slirp4netns gives no access to the host's loopback and nameserver", () => {
  expect(slirp4netns("/usr/bin/slirp4netns")).toMatchObject({
    readyDescriptor: 3,
    argv: expect.arrayContaining(["--disable-host-loopback", "--disable-dns", "--enable-sandbox", "--ready-fd=3"]),
  });
});

test("the rules name every address of the host's, groups and broadcasts; lo passes, and everything unnamed is dropped", () => {
  const text = rules([
    { address: "192.0.2.2", length: 32 },
    { address: "fd99::2", length: 128 },
  ]);
  expect(text).toContain("elements = { 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4, 255.255.255.255/32, 192.0.2.2/32 };");
  expect(text).toContain("elements = { ::/128, ::1/128, ff00::/8, fd99::2/128 };");
  const order = ["policy drop", 'oifname "lo" accept', "@closed4 reject", "@closed6 reject", "l4proto", "echo-request"];
  const places = order.map((words) => text.indexOf(words));
  expect(places).not.toContain(-1);
  expect(places).toEqual([...places].sort((one, other) => one - other));
});
