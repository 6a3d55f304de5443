import { describe, expect, test } from "@jest/globals";
import { shareSound } from "../../../../../client/full/desktop/sound/audio.ts";
import { authRequest, isAccepted, packetRest } from "../../../../../client/full/desktop/sound/pulse-protocol.ts";
import { cookieFiles, soundServers } from "../../../../../client/full/desktop/sound/sound-server.ts";

const socket = (path: string, shared = false) => ({ kind: "socket", path, shared });
const last = socket("/tmp/pulse-socket", true);

describe("the possible places of the sound server", () => {
  test.each([
    [{}, [socket("/run/user/5/pulse/native"), last]],
    [{ XDG_RUNTIME_DIR: "/run/user/5" }, [socket("/run/user/5/pulse/native"), last]],
    [{ XDG_RUNTIME_DIR: "/r" }, [socket("/r/pulse/native"), socket("/run/user/5/pulse/native"), last]],
    [{ PULSE_SERVER: "/s" }, [socket("/s")]],
    [{ PULSE_SERVER: "unix:/s", XDG_RUNTIME_DIR: "/r" }, [socket("/s")]],
    [{ PULSE_SERVER: "unix:/tmp/pulse-socket" }, [last]],
    [{ PULSE_SERVER: "{f00}unix:/s tcp:there:4713" }, [socket("/s"), { kind: "network", name: "tcp:there:4713" }]],
    [{ PULSE_SERVER: "there" }, [{ kind: "network", name: "there" }]],
    [{ PULSE_SERVER: "unix:" }, undefined],
    [{ PULSE_SERVER: " " }, undefined],
    [{ PULSE_SERVER: "" }, [socket("/run/user/5/pulse/native"), last]],
  ])("%j", (environment, servers) => {
    expect(soundServers(environment, 5)).toEqual(servers);
  });

  test("the possible places of its cookie", () => {
    expect(cookieFiles({ HOME: "/h" })).toEqual(["/h/.config/pulse/cookie", "/h/.pulse-cookie"]);
    expect(cookieFiles({ HOME: "/h", XDG_CONFIG_HOME: "/c" })).toEqual(["/c/pulse/cookie", "/h/.pulse-cookie"]);
    expect(cookieFiles({ HOME: "/h", PULSE_COOKIE: "/p" })).toEqual(["/p"]);
    expect(cookieFiles({})).toEqual([]);
  });
});

describe("the messages to the sound server", () => {
  test("a packet of 276 bytes for every version, with or without a cookie", () => {
    const packet = Buffer.from(authRequest(new Uint8Array(256).fill(7)));
    expect(packet.subarray(0, 20).toString("hex")).toBe("00000114ffffffff000000000000000000000000");
    expect(packet.subarray(20, 40).toString("hex")).toBe("4c000000084c000000004c0000000c7800000100");
    expect(packet.subarray(40)).toEqual(Buffer.alloc(256, 7));
    expect(Buffer.from(authRequest(undefined)).subarray(40)).toEqual(Buffer.alloc(256));
  });
  test("the server's answers", () => {
    const head = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex + "00".repeat(12), "hex"));
    expect(packetRest(head("0000000fffffffff"))).toBe(15);
    expect(packetRest(head("0000000f00000000"))).toBeUndefined();
    expect(packetRest(head("7fffffffffffffff"))).toBeUndefined();
    expect(packetRest(head("00000000ffffffff"))).toBeUndefined();
    expect(isAccepted(Buffer.from("4c000000024c000000004c00000023", "hex"))).toBe(true);
    expect(isAccepted(Buffer.from("4c000000004c000000004c00000001", "hex"))).toBe(false);
  });
});

test("a sandbox gets the socket, the cookie in a file from a descriptor, and no shared memory", () => {
  expect(
    shareSound({ server: { kind: "socket", path: "/r/native", shared: false }, cookie: 5, configuration: 6 }),
  ).toEqual({
    mounts: [
      { kind: "bind", from: "/r/native", source: "file", to: "/dev/isolate-pulse", readOnly: true },
      { kind: "data", descriptor: 5, to: "/dev/isolate-pulse-cookie" },
      { kind: "data", descriptor: 6, to: "/dev/isolate-pulse-client.conf" },
    ],
    environment: {
      PULSE_SERVER: "unix:/dev/isolate-pulse",
      PULSE_COOKIE: "/dev/isolate-pulse-cookie",
      PULSE_CLIENTCONFIG: "/dev/isolate-pulse-client.conf",
    },
  });
  expect(shareSound({ server: { kind: "network", name: "tcp:there" }, cookie: undefined, configuration: 6 })).toEqual({
    mounts: [{ kind: "data", descriptor: 6, to: "/dev/isolate-pulse-client.conf" }],
    environment: { PULSE_SERVER: "tcp:there", PULSE_CLIENTCONFIG: "/dev/isolate-pulse-client.conf" },
  });
});
