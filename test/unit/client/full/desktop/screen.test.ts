import { describe, expect, test } from "@jest/globals";
import { parseDisplay, unlisted } from "../../../../../client/full/desktop/x11/display.ts";
import {
  extensionOpcode,
  extensionRequest,
  message,
  setupRefusal,
  setupRequest,
  setupRest,
  untrustedCookie,
  untrustedRequest,
} from "../../../../../client/full/desktop/x11/x-protocol.ts";
import { showScreen } from "../../../../../client/full/desktop/x11/x11.ts";
import {
  type Entry,
  findCookie,
  parseXauthority,
  xauthorityFor,
} from "../../../../../client/full/desktop/x11/xauthority.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
const shown = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("DISPLAY", () => {
  test.each([
    [":0", 0, "", undefined],
    [":0.0", 0, ".0", undefined],
    [":42.1", 42, ".1", undefined],
    ["unix:0", 0, "", undefined],
    ["unix/:3", 3, "", undefined],
    ["unix/anything:3", 3, "", undefined],
    ["localhost:10.0", 10, ".0", "localhost"],
    ["tcp/there:0", 0, "", "there"],
    ["tcp/:1", 1, "", "localhost"],
    ["::1:10", 10, "", "::1"],
    ["[::1]:10", 10, "", "::1"],
  ])("'%s' is display %i", (text, number, screen, host) => {
    expect(parseDisplay(text)).toEqual({ number, screen, host });
  });

  test.each([
    "",
    "0",
    ":",
    ":x",
    ":-1",
    ":0.",
    ":0.x",
    "/tmp/.X11-unix/X0",
    "unix:/tmp/x",
    ":99999999999",
    ":0\n",
    "a/b:0",
  ])("'%s' is not a display", (text) => {
    expect(parseDisplay(text)).toBeUndefined();
  });
});

describe("an Xauthority file", () => {
  // Written by xauth(1) on a host named vm, for :77.
  const written = hex(
    "0100 0002 766d 0002 3737 0012 4d49542d4d414749432d434f4f4b49452d31 0010 c4b4fc204e41fc639c10e14b3f6233d0",
  );
  const cookie = hex("c4b4fc204e41fc639c10e14b3f6233d0");
  const entry = { family: 256, address: "vm", number: "77", name: "MIT-MAGIC-COOKIE-1", data: cookie };

  test("is read whole", () => {
    expect(parseXauthority(written)).toEqual([entry]);
    expect(parseXauthority(Buffer.concat([written, written]))).toEqual([entry, entry]);
    expect(parseXauthority(new Uint8Array())).toEqual([]);
  });

  test("is refused if it is truncated anywhere", () => {
    for (let length = 1; length < written.length; length++)
      expect(parseXauthority(written.slice(0, length))).toBeUndefined();
    expect(parseXauthority(Buffer.concat([written, Buffer.of(0)]))).toBeUndefined();
  });

  const found = (more: Partial<Entry>) => findCookie([{ ...entry, ...more }], "vm", 77);
  test("has the cookie of this host's display, or of any", () => {
    expect(found({})).toEqual(cookie);
    expect(found({ number: "" })).toEqual(cookie);
    expect(found({ family: 65535, address: "" })).toEqual(cookie);
  });
  test.each<Partial<Entry>>([
    { address: "other" },
    { number: "7" },
    { number: "077" },
    { family: 0 },
    { name: "XDM-AUTHORIZATION-1" },
    { data: new Uint8Array() },
  ])("another display's cookie is not used: %j", (more) => {
    expect(found(more)).toBeUndefined();
  });
  test("the first match is used", () => {
    const other = { ...entry, data: hex("00") };
    expect(findCookie([{ ...entry, number: "1" }, entry, other], "vm", 77)).toEqual(cookie);
  });

  test("a run's file matches every host name and display", () => {
    const file = xauthorityFor(cookie);
    expect(shown(file)).toBe(
      shown(hex("ffff 0000 0000 0012 4d49542d4d414749432d434f4f4b49452d31 0010")) + shown(cookie),
    );
    expect(findCookie(parseXauthority(file) ?? [], "whatever", 5)).toEqual(cookie);
  });
});

describe("the messages to an X server", () => {
  test("the first request, with a cookie and without", () => {
    expect(shown(setupRequest(undefined))).toBe("6c000b000000000000000000");
    expect(shown(setupRequest(hex("0102030405")))).toBe(
      `6c000b000000120005000000${shown(Buffer.from("MIT-MAGIC-COOKIE-1\0\0"))}0102030405000000`,
    );
  });
  test("the server's answers", () => {
    expect(setupRest(hex("01 00 0b00 0000 0203"))).toBe(0x302 * 4);
    expect(setupRefusal(hex("01 00 0b00 0000 0100"), hex("00000000"))).toBeUndefined();
    expect(setupRefusal(hex("00 03 0b00 0000 0100"), Buffer.from("No\n\0"))).toBe("No");
    expect(setupRefusal(hex("00 00 0b00 0000 0000"), new Uint8Array())).toBe("it gives no reason");
  });
  test("a query for an extension", () => {
    expect(shown(extensionRequest("SECURITY"))).toBe(`6200040008000000${shown(Buffer.from("SECURITY"))}`);
    expect(extensionOpcode(hex(`01000100 00000000 01 89 ${"00".repeat(22)}`))).toBe(0x89);
    expect(extensionOpcode(hex(`01000100 00000000 00 89 ${"00".repeat(22)}`))).toBeUndefined();
  });
  test("a request for an untrusted cookie", () => {
    expect(shown(untrustedRequest(0x89, 10))).toBe(
      `89010a001200000003000000${shown(Buffer.from("MIT-MAGIC-COOKIE-1\0\0"))}0a00000001000000`,
    );
    const head = `01000200 01000000 05000000 0400 ${"00".repeat(18)}`;
    expect(message(hex(head))).toEqual({ kind: "reply", rest: 4 });
    expect(shown(untrustedCookie(hex(`${head}0a0b0c0d`)) ?? hex("00"))).toBe("0a0b0c0d");
    expect(untrustedCookie(hex(`${head}0a0b`))).toBeUndefined();
  });
});

describe("a sandbox", () => {
  const display = { number: 7, screen: ".0", host: undefined };
  test("has another display number if the host has an abstract socket for it", () => {
    const line = (name: string): string => `0000000000000000: 00000002 00000000 00010000 0001 01 12345${name}`;
    expect(unlisted(display, [line(" /tmp/.X11-unix/X7"), line(" @/tmp/.X11-unix/X70"), line("")].join("\n"))).toBe(7);
    expect(unlisted(display, [line(" @/tmp/.X11-unix/X1007"), line(" @/tmp/.X11-unix/X7")].join("\n"))).toBe(2007);
  });

  test("gets only that socket, under its number inside, and a file from a descriptor", () => {
    expect(showScreen({ display, number: 7000, xauthority: 9, held: 8 })).toEqual({
      mounts: [
        { kind: "bind", from: "/tmp/.X11-unix/X7", source: "file", to: "/tmp/.X11-unix/X7000", readOnly: true },
        { kind: "data", descriptor: 9, to: "/dev/isolate-xauthority" },
      ],
      environment: { DISPLAY: ":7000.0", XAUTHORITY: "/dev/isolate-xauthority" },
      held: 8,
    });
  });
  test("gets no file if the server needs no cookie", () => {
    const { mounts, environment } = showScreen({ display, number: 7, xauthority: undefined, held: undefined });
    expect(mounts).toHaveLength(1);
    expect(environment).toEqual({ DISPLAY: ":7.0" });
  });
  test("gets no socket of a display on the network", () => {
    const remote = { ...display, host: "localhost" };
    expect(showScreen({ display: remote, number: 7, xauthority: 9, held: undefined })).toEqual({
      mounts: [{ kind: "data", descriptor: 9, to: "/dev/isolate-xauthority" }],
      environment: { DISPLAY: "localhost:7.0", XAUTHORITY: "/dev/isolate-xauthority" },
    });
  });
});
