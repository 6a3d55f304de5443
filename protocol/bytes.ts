/**
 * Arguments and file names are bytes and need not be UTF-8. A string carries a byte that is not UTF-8 as a lone
 * surrogate (U+DC80 and up, the "surrogateescape" of Python's PEP 383), which becomes the same byte again. Pure.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // true: keeps a byte order mark at the start

/** Decodes text for display: bytes that are not UTF-8 become U+FFFD. */
export const decodeText = (bytes: Uint8Array): string => decoder.decode(bytes);

export function decodeBytes(bytes: Uint8Array): string {
  const text = decodeText(bytes);
  return text.includes("\ufffd") ? decodeStray(bytes) : text;
}

function decodeStray(bytes: Uint8Array): string {
  let result = "";
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at] ?? 0);
    const sequence = bytes.subarray(at, at + length);
    const character = decodeText(sequence);
    const again = encoder.encode(character);
    const whole = again.length === sequence.length && again.every((byte, index) => byte === sequence[index]);
    result += whole ? character : String.fromCharCode(0xdc00 + (bytes[at] ?? 0));
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
