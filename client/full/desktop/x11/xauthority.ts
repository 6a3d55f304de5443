/**
 * Authorization files for X servers, Xau(3). Each entry is a family (2 bytes), then an address, a display number, the
 * name of a protocol and its data, each preceded by its length (2 bytes). All numbers are big-endian.
 */

export const cookieName = "MIT-MAGIC-COOKIE-1";
const familyLocal = 256;
/** Matches every host name; the host name inside differs. */
const familyWild = 65535;

export interface Entry {
  readonly family: number;
  readonly address: string;
  /** Empty for every display. */
  readonly number: string;
  readonly name: string;
  readonly data: Uint8Array;
}

/** Returns the entries; `undefined` if the file contains anything else. */
export function parseXauthority(file: Uint8Array): Entry[] | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const entries: Entry[] = [];
  let at = 0;
  const short = (): number | undefined => {
    if (at + 2 > file.length) return undefined;
    at += 2;
    return view.getUint16(at - 2);
  };
  const counted = (): Uint8Array | undefined => {
    const length = short();
    if (length === undefined || at + length > file.length) return undefined;
    at += length;
    return file.slice(at - length, at);
  };
  while (at < file.length) {
    const family = short();
    const [address, number, name, data] = [counted(), counted(), counted(), counted()];
    if (family === undefined || !address || !number || !name || !data) return undefined;
    entries.push({ family, address: text(address), number: text(number), name: text(name), data });
  }
  return entries;
}

/**
 * Returns the cookie that a client on this host sends to a local server: the first match, as in
 * XauGetBestAuthByAddr(3).
 */
export function findCookie(entries: readonly Entry[], hostname: string, display: number): Uint8Array | undefined {
  return entries.find(
    ({ family, address, number, name, data }) =>
      (family === familyWild || (family === familyLocal && address === hostname)) &&
      (number === "" || number === String(display)) &&
      name === cookieName &&
      data.length > 0,
  )?.data;
}

/** Returns a file with one entry, which matches every display. */
export function xauthorityFor(cookie: Uint8Array): Uint8Array {
  const name = bytes(cookieName);
  return Uint8Array.from([
    ...pair(familyWild),
    ...pair(0),
    ...pair(0),
    ...pair(name.length),
    ...name,
    ...pair(cookie.length),
    ...cookie,
  ]);
}

const pair = (value: number): number[] => [value >> 8, value & 0xff];
const text = (latin1: Uint8Array): string => String.fromCharCode(...latin1);
const bytes = (latin1: string): number[] => [...latin1].map((character) => character.charCodeAt(0));
