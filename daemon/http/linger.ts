/** The end of a connection whose answer must reach its caller. */
import type { Socket } from "node:net";
import type { IsolateError } from "../../protocol/errors.ts";

/** Bytes that are read and thrown away, and milliseconds that the peer has to read the answer and to leave. */
const mostDropped = 256 * 1024;
const patience = 2000;

/**
 * Says that nothing more will be sent, and closes the connection when the peer has left, or after a while. A caller that
 * still writes would otherwise get EPIPE before it has seen the answer. What it writes is dropped, and beyond some of it no
 * longer read: a caller that never ends costs nothing.
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

/** Answers whatever was asked, or will be, with an error, and closes. */
export function refuse(socket: Socket, error: IsolateError, status = error.status): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  socket.write(refusal(error, status));
  closeAfterAnswer(socket);
}

/** As bytes of HTTP. */
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
