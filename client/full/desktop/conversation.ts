/** Exchanges bytes with a server of the caller's session over a Unix socket, with a time limit for its answers. */

import { SystemCallError } from "../../run/linux/call.ts";
import type { Libc } from "../../run/linux/libc.ts";

export interface Conversation {
  /** The connection; stays open across exec. */
  readonly descriptor: number;
  send(bytes: Uint8Array): void;
  /**
   * Reads exactly that many bytes. Throws `SystemCallError`: EPIPE at the end of the stream, ETIMEDOUT without an
   * answer.
   */
  receive(length: number): Uint8Array;
  close(): void;
}

/** Returns the reason in words. */
export function reasonOf({ errno }: SystemCallError): string {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "there is no such socket",
    ECONNREFUSED: "nothing listens there",
    EACCES: "you may not connect to it",
    ETIMEDOUT: "it does not answer",
    EPIPE: "it closed the connection",
    ECONNRESET: "it closed the connection",
  };
  return reasons[errno] ?? errno;
}

/** Milliseconds to wait for an answer. */
const patience = 5000;

export function converse(descriptor: number, libc: Libc): Conversation {
  return {
    descriptor,
    send: (bytes) => libc.writeAll(descriptor, bytes),
    receive(length) {
      const bytes = new Uint8Array(length);
      for (let got = 0; got < length; ) {
        if (!libc.readable(descriptor, patience)) throw new SystemCallError("read", "ETIMEDOUT");
        const more = libc.read(descriptor, bytes.subarray(got));
        if (more === 0) throw new SystemCallError("read", "EPIPE");
        got += more;
      }
      return bytes;
    },
    close: () => libc.close(descriptor),
  };
}
