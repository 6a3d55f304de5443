/**
 * The part of PulseAudio's native protocol that asks a server whether it accepts a client (PROTOCOL and
 * src/pulsecore/pstream.c in its sources; PipeWire speaks the same protocol). Big-endian.
 */

/** The size of a whole cookie in bytes. */
export const cookieLength = 256;
/** The size of a packet's head in bytes. */
export const packetHead = 20;
const authenticate = 8;
const accepted = 2;
/** A protocol version without shared memory, so that none is negotiated. */
const version = 12;

export function authRequest(cookie: Uint8Array | undefined): Uint8Array {
  const content = new Uint8Array(3 * 5 + 5 + cookieLength);
  const view = new DataView(content.buffer);
  [authenticate, 0, version].forEach((value, index) => {
    view.setUint8(index * 5, "L".charCodeAt(0));
    view.setUint32(index * 5 + 1, value);
  });
  view.setUint8(15, "x".charCodeAt(0));
  view.setUint32(16, cookieLength);
  if (cookie) content.set(cookie, 20);
  const packet = new Uint8Array(packetHead + content.length);
  const head = new DataView(packet.buffer);
  head.setUint32(0, content.length);
  head.setUint32(4, 0xffffffff); // not of a stream
  packet.set(content, packetHead);
  return packet;
}

/** Returns the number of bytes after the head; `undefined` if the server does not speak this protocol. */
export function packetRest(head: Uint8Array): number | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const length = view.getUint32(0);
  return view.getUint32(4) === 0xffffffff && length >= 5 && length <= 64 * 1024 ? length : undefined;
}

export function isAccepted(content: Uint8Array): boolean {
  return new DataView(content.buffer, content.byteOffset, content.byteLength).getUint32(1) === accepted;
}
