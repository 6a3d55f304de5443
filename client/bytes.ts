/**
 * Arguments and file names are bytes and need not be UTF-8. A byte that is not is carried in a string as a lone surrogate
 * (U+DC80 and up, the "surrogateescape" of Python's PEP 383) and becomes the same byte again. Pure.
 */

/** The first `Buffer.from` of a text takes the runtime 0.2 ms. */
const encoder = new TextEncoder();

export function decodeBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes);
  const text = buffer.toString();
  if (!text.includes("\ufffd")) return text;
  let result = "";
  for (let at = 0; at < buffer.length; ) {
    const length = sequenceLength(buffer[at] ?? 0);
    const sequence = buffer.subarray(at, at + length);
    const character = sequence.toString();
    const whole = Buffer.from(character).equals(sequence);
    result += whole ? character : String.fromCharCode(0xdc00 + (buffer[at] ?? 0));
    at += whole ? length : 1;
  }
  return result;
}

export function encodeBytes(text: string): Uint8Array {
  if (text.isWellFormed()) return encoder.encode(text);
  const parts = [...text].map((character) => {
    const code = character.codePointAt(0) ?? 0;
    return code >= 0xdc80 && code <= 0xdcff ? Uint8Array.of(code - 0xdc00) : Buffer.from(character);
  });
  return Buffer.concat(parts);
}

function sequenceLength(first: number): number {
  return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
}
