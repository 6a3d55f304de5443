/**
 * Arguments and file names are bytes and need not be UTF-8. A byte that is not is carried in a string as a lone surrogate
 * (U+DC80 and up, the "surrogateescape" of Python's PEP 383) and becomes the same byte again. Pure.
 */

/**
 * What a run calls must not name `Buffer`: a function that does makes the runtime build it when it is first called, 0.13 ms
 * even if that line is never reached.
 */
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // true: a mark at the start is kept

/** Of bytes that are text, or nearly: what is not UTF-8 becomes U+FFFD. */
export const decodeText = (bytes: Uint8Array): string => decoder.decode(bytes);

export function decodeBytes(bytes: Uint8Array): string {
  const text = decodeText(bytes);
  return text.includes("\ufffd") ? decodeStray(bytes) : text;
}

function decodeStray(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes);
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
  return text.isWellFormed() ? encoder.encode(text) : encodeStray(text);
}

function encodeStray(text: string): Uint8Array {
  const parts = [...text].map((character) => {
    const code = character.codePointAt(0) ?? 0;
    return code >= 0xdc80 && code <= 0xdcff ? Uint8Array.of(code - 0xdc00) : encoder.encode(character);
  });
  return joinBytes(parts);
}

export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function sequenceLength(first: number): number {
  return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
}
