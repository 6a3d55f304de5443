/** Ends a connection so that its answer reaches the caller. */
import type { Socket } from "node:net";
import type { IsolateError } from "../../protocol/errors.ts";

/** Bytes that are read and dropped, and milliseconds for the peer to read the answer and to leave. */
const mostDropped = 256 * 1024;
const patience = 2000;

/**
 * Ends the sending side, and closes the connection when the peer has left, or after a while. Otherwise a caller that
 * still writes would get EPIPE before it has seen the answer. Its data is dropped, and after some of it no longer read,
 * so a caller that never stops costs nothing.
 */
export function closeAfterAnswer(socket: Socket): void {
  if (socket.destroyed) return;
  let left = mostDropped;
  socket.removeAllListeners("data");
  socket.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left <= 0) socket.pause();
  });
  const timer = setTimeout(() => socket.destroy(), patience);
  socket.once("end", () => socket.destroy());
  socket.once("error", () => socket.destroy());
  socket.once("close", () => clearTimeout(timer));
  socket.end();
  socket.resume();
}

/** Answers any request, current or future, with an error, and closes. */
export function refuse(socket: Socket, error: IsolateError, status = error.status): void {
  if (!socket.writable) {
    // A connection that has its answer already stays open for a while: see above.
    if (!socket.writableEnded) socket.destroy();
    return;
  }
  socket.write(refusal(error, status));
  closeAfterAnswer(socket);
}

/** Returns the error as an HTTP answer. */
export function refusal(error: IsolateError, status = error.status): string {
  const body = JSON.stringify(error.body());
  const head = [
    `HTTP/1.1 ${status} Refused`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}
