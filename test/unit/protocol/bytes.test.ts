import { expect, test } from "@jest/globals";
import { decodeBytes, encodeBytes } from "../../../protocol/bytes.ts";

test.each([
  ["text", [0x61, 0x62]],
  ["UTF-8", [0xc3, 0xa4, 0xe6, 0xbc, 0xa2, 0xf0, 0x9f, 0x98, 0x80]],
  ["Latin-1", [0x61, 0xe4, 0x62]],
  ["a cut sequence", [0xe6, 0xbc]],
  ["a sequence cut by text", [0xf0, 0x9f, 0x61]],
  ["an encoded surrogate", [0xed, 0xb2, 0x80]],
  ["an overlong slash", [0xc0, 0xaf]],
  ["the replacement character itself", [0xef, 0xbf, 0xbd, 0xff]],
  ["every byte", Array.from({ length: 256 }, (_, byte) => byte)],
])("%s survives the round trip", (_, bytes) => {
  expect([...encodeBytes(decodeBytes(Uint8Array.from(bytes)))]).toEqual(bytes);
});

test("UTF-8 is decoded as such", () => {
  expect(decodeBytes(Buffer.from("ä漢😀"))).toBe("ä漢😀");
  expect(decodeBytes(Uint8Array.of(0x61, 0xff))).toBe("a\udcff");
});
