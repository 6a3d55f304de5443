import { describe, expect, test } from "@jest/globals";
import { type Answer, createAnswerReader, leaseRequest } from "../../../../client/run/lease-wire.ts";

const grant = {
  lease: "debian_1",
  template: "debian",
  snapshot: "debian@1",
  view: "/run/isolate/v",
  userns: "/run/isolate/u",
  uid: 1000,
  gid: 1000,
  onDemand: false,
};
const upgraded = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: isolate-lease\r\n\r\n";
const waiting = (reason: string): string => `HTTP/1.1 102 Processing\r\nReason: ${reason}\r\n\r\n`;
const refused = (body: string): string =>
  `HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const granted = `${upgraded}${JSON.stringify(grant)}\n`;
const error = { code: "unknown-template", message: "cannot find the template 'ä'", hint: "" };

/** Feeds the text in pieces of that many bytes. */
function read(text: string, size = Number.POSITIVE_INFINITY): Answer[] {
  const reader = createAnswerReader();
  const bytes = Buffer.from(text);
  const answers: Answer[] = [];
  for (let at = 0; at < bytes.length; at += size) answers.push(...reader.feed(bytes.subarray(at, at + size)));
  return answers;
}

describe("answers", () => {
  test.each([1, 2, 7, 64, Number.POSITIVE_INFINITY])("in pieces of %d bytes", (size) => {
    expect(read(waiting("none is ready") + waiting("two ahead") + granted, size)).toEqual([
      { kind: "waiting", reason: "none is ready" },
      { kind: "waiting", reason: "two ahead" },
      { kind: "granted", grant },
    ]);
    expect(read(waiting("x") + refused(JSON.stringify(error)), size)).toEqual([
      { kind: "waiting", reason: "x" },
      { kind: "refused", error },
    ]);
  });

  test("nothing is granted before the line ends", () => {
    expect(read(granted.slice(0, -1))).toEqual([]);
    expect(read(upgraded)).toEqual([]);
    expect(read("")).toEqual([]);
  });

  test("nothing is read after a grant", () => {
    const reader = createAnswerReader();
    expect(reader.feed(Buffer.from(granted))).toHaveLength(1);
    expect(reader.feed(Buffer.from(granted))).toEqual([]);
  });
});

describe("garbage", () => {
  const garbled = (text: string): void => expect(read(text)).toEqual([{ kind: "garbled", wrong: expect.any(String) }]);

  test("is not HTTP", () => {
    garbled("SSH-2.0-OpenSSH\r\n\r\n");
    garbled("HTTP/1.1 9999 x\r\n\r\n");
    garbled("\r\n\r\n");
  });

  test("has no end", () => {
    garbled("x".repeat(20_000));
    garbled(`HTTP/1.1 102 Processing\r\nReason: ${"x".repeat(20_000)}\r\n\r\n`);
    garbled(upgraded + "x".repeat(300_000));
    garbled("HTTP/1.1 500 x\r\nContent-Length: 99999999\r\n\r\n");
    garbled("HTTP/1.1 500 x\r\nContent-Length: -1\r\n\r\n");
    garbled("HTTP/1.1 500 x\r\nContent-Length: x\r\n\r\n");
  });

  test("is a status without an explanation", () => {
    garbled("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    garbled("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    garbled(refused("<html>"));
    garbled(refused("null"));
    garbled(refused('{"code":1,"message":"","hint":""}'));
  });

  test("follows the grant", () => {
    garbled(`${granted}x`);
    garbled(`${granted}\n`);
  });

  test.each([
    ["no JSON", "{"],
    ["no object", "null"],
    ["an array", "[]"],
    ["a lease without a name", JSON.stringify({ ...grant, lease: "" })],
    ["a relative view", JSON.stringify({ ...grant, view: "v" })],
    ["no namespace", JSON.stringify({ ...grant, userns: undefined })],
    ["the host's root", JSON.stringify({ ...grant, uid: 0 })],
    ["the host's root group", JSON.stringify({ ...grant, gid: 0 })],
    ["a uid that is text", JSON.stringify({ ...grant, uid: "1000" })],
    ["a negative uid", JSON.stringify({ ...grant, uid: -1 })],
  ])("grants %s", (_, line) => {
    garbled(`${upgraded}${line}\n`);
  });
});

describe("the request", () => {
  test("is the upgrade of the protocol and nothing else", () => {
    expect(
      leaseRequest({ edit: false, template: "p/t", wait: "5", ids: undefined, command: ["sh", "-c", "a&b"] }),
    ).toBe(
      "GET /v1/lease?template=p%2Ft&command=sh%20-c%20a%26b&wait=5 HTTP/1.1\r\n" +
        "Host: isolate\r\nConnection: Upgrade\r\nUpgrade: isolate-lease\r\n\r\n",
    );
    expect(leaseRequest({ edit: false, template: "t", wait: undefined, ids: undefined, command: ["x"] })).not.toContain(
      "wait",
    );
    const ids = { uid: 100000, gid: 200000 };
    expect(leaseRequest({ edit: false, template: "t", wait: undefined, ids, command: ["x"] })).toMatch(
      /&uid=100000&gid=200000 HTTP/,
    );
    expect(leaseRequest({ edit: true, template: "t", wait: undefined, ids: undefined, command: ["x"] })).toMatch(
      /^GET \/v1\/edit\?template=t&/,
    );
  });

  test("cannot be extended by its values", () => {
    const evil = "x HTTP/1.1\r\nHost: y\r\n\r\nDELETE /v1/templates";
    const text = leaseRequest({ edit: false, template: evil, wait: undefined, ids: undefined, command: [evil] });
    expect(text.split("\r\n")).toHaveLength(6);
    expect(text.match(/ HTTP\/1\.1/g)).toHaveLength(1);
  });

  test("fits in a header with any command", () => {
    const text = leaseRequest({
      edit: false,
      template: "t",
      wait: undefined,
      ids: undefined,
      command: ["\u{1f600}".repeat(100_000), "\ud800"],
    });
    expect(text.length).toBeLessThan(8192);
    expect(
      leaseRequest({ edit: false, template: "\ud800", wait: undefined, ids: undefined, command: ["\udfff"] }),
    ).toContain("%EF%BF%BD");
  });
});
