/**
 * The part of the X protocol that asks a server whether it accepts a client, and for a cookie of an untrusted client:
 * "X Window System Protocol" (X.Org), chapters 1, 8 and appendix B; "Security Extension Specification". Little-endian.
 */
import { cookieName } from "./xauthority.ts";

const padded = (length: number): number => (length + 3) & ~3;
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const ascii = (text: string): number[] => [...text].map((character) => character.charCodeAt(0));

/** Returns a client's first message. Without a cookie the server checks the client's user. */
export function setupRequest(cookie: Uint8Array | undefined): Uint8Array {
  const name = cookie ? ascii(cookieName) : [];
  const data = cookie ?? [];
  const request = new Uint8Array(12 + padded(name.length) + padded(data.length));
  const view = viewOf(request);
  view.setUint8(0, "l".charCodeAt(0));
  view.setUint16(2, 11, true);
  view.setUint16(6, name.length, true);
  view.setUint16(8, data.length, true);
  request.set(name, 12);
  request.set(data, 12 + padded(name.length));
  return request;
}

/** The size in bytes of the head of the answer to it. */
export const setupHead = 8;

/** Returns the number of bytes after the head. */
export const setupRest = (head: Uint8Array): number => viewOf(head).getUint16(6, true) * 4;

/** Returns why the server refuses; `undefined` if it accepts. */
export function setupRefusal(head: Uint8Array, rest: Uint8Array): string | undefined {
  const [status, length] = head;
  if (status === 1) return undefined;
  const reason = status === 0 ? rest.subarray(0, length) : rest;
  return new TextDecoder().decode(reason).replace(/\0/g, "").trim() || "it gives no reason";
}

/** The size in bytes of every event and error, and of a reply's head. */
export const messageHead = 32;

export function message(head: Uint8Array): { readonly kind: "reply" | "error" | "event"; readonly rest: number } {
  const [kind] = head;
  if (kind === 1) return { kind: "reply", rest: viewOf(head).getUint32(4, true) * 4 };
  return { kind: kind === 0 ? "error" : "event", rest: 0 };
}

export function extensionRequest(name: string): Uint8Array {
  const request = new Uint8Array(8 + padded(name.length));
  const view = viewOf(request);
  view.setUint8(0, 98); // QueryExtension
  view.setUint16(2, request.length / 4, true);
  view.setUint16(4, name.length, true);
  request.set(ascii(name), 8);
  return request;
}

/** Returns the opcode of its requests; `undefined` if the server lacks the extension. */
export function extensionOpcode(reply: Uint8Array): number | undefined {
  const view = viewOf(reply);
  return view.getUint8(8) === 1 ? view.getUint8(9) : undefined;
}

/**
 * SecurityGenerateAuthorization. The server forgets the cookie that many seconds after the last client that used it has
 * disconnected.
 */
export function untrustedRequest(opcode: number, timeout: number): Uint8Array {
  const name = ascii(cookieName);
  const request = new Uint8Array(12 + padded(name.length) + 8);
  const view = viewOf(request);
  view.setUint8(0, opcode);
  view.setUint8(1, 1);
  view.setUint16(2, request.length / 4, true);
  view.setUint16(4, name.length, true);
  view.setUint32(8, 0b11, true); // the two values that follow: timeout, trust level
  request.set(name, 12);
  view.setUint32(request.length - 8, timeout, true);
  view.setUint32(request.length - 4, 1, true); // XSecurityClientUntrusted
  return request;
}

/** Returns the cookie from the whole reply. */
export function untrustedCookie(reply: Uint8Array): Uint8Array | undefined {
  const length = viewOf(reply).getUint16(12, true);
  const cookie = reply.subarray(messageHead, messageHead + length);
  return length > 0 && cookie.length === length ? cookie : undefined;
}
