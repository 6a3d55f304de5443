/**
 * Executes one request of a connection at a time. Node executes all requests that arrive together, even if nobody reads
 * the answers. Here, data after a request stays unread until the answer has been sent. A request of a peer that has
 * left is not executed. A member's request has no body to read: all routes with a body are for root.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { IsolateError } from "../../protocol/errors.ts";
import { peerHasLeft } from "../linux/processes.ts";
import { closeAfterAnswer, refuse } from "./linger.ts";
import { descriptorOf, peerOf } from "./peers.ts";
import type { Turns } from "./turns.ts";

export interface Gate {
  /** For a new connection that already has the listeners of the HTTP server. */
  connected(socket: Socket): void;
  /** For the server's `request` event: calls `handle` in its turn, or never. */
  request(request: IncomingMessage, response: ServerResponse, handle: () => void): void;
  /** For the server's `upgrade` event: releases the connection and returns the data after the request. */
  upgraded(socket: Socket): Buffer;
}

interface Line {
  /** The number of lines since the last request. */
  count: number;
  /** `head`: until a request is complete. `body`: its body is read. `answer`: nothing is read. */
  phase: "head" | "body" | "answer";
  /** Data that has arrived and is not yet parsed. */
  held: Buffer;
  feed(): void;
  /** Removes the gate's listener. */
  leave(): void;
}

/** Milliseconds for a peer to read its answer. */
const answerPatience = 10_000;
/** The most lines of a request's head, far more than any has: each is parsed separately. */
const mostLines = 256;
const lineFeed = 10;
const nothing = Buffer.alloc(0);

export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0;

export function createGate(turns: Turns): Gate {
  const lines = new WeakMap<Socket, Line>();

  return {
    connected(socket) {
      const parsers = socket.listeners("data") as ((chunk: Buffer) => void)[];
      const parse = (chunk: Buffer): void => {
        for (const parser of parsers) parser.call(socket, chunk);
      };
      const line: Line = {
        count: 0,
        phase: "head",
        held: nothing,
        // Line by line, since Node would execute two requests that are in one piece.
        feed() {
          while (line.phase === "head" && line.held.length > 0 && socket.writable) {
            if (++line.count > mostLines) {
              refuse(socket, new IsolateError("bad-request", { wrong: `its head has more than ${mostLines} lines` }));
              return;
            }
            const end = line.held.indexOf(lineFeed) + 1 || line.held.length;
            const piece = line.held.subarray(0, end);
            line.held = line.held.subarray(end);
            parse(piece);
          }
          if (line.phase === "body") {
            const rest = line.held;
            line.held = nothing;
            if (rest.length > 0) parse(rest);
          }
          if (line.phase === "answer" && lines.get(socket) === line) socket.pause();
        },
        leave: () => socket.removeListener("data", onData),
      };
      const onData = (chunk: Buffer): void => {
        line.held = line.held.length === 0 ? chunk : Buffer.concat([line.held, chunk]);
        line.feed();
      };
      lines.set(socket, line);
      socket.on("data", onData);
      for (const parser of parsers) socket.removeListener("data", parser);
      // node:http calls this to end a connection after its last answer.
      socket.destroySoon = () => closeAfterAnswer(socket);
    },

    request(request, response, handle) {
      const { socket } = request;
      const line = lines.get(socket);
      const { uid } = peerOf(socket);
      if (line) {
        line.count = 0;
        line.phase = uid === 0 && hasBody(request) ? "body" : "answer";
      }
      turns.answer(uid, (answered) => {
        const isEnding = !socket.destroyed && !socket.writable;
        if (isEnding || socket.destroyed || peerHasLeft(descriptorOf(socket))) {
          if (!isEnding) socket.destroy();
          answered();
          return;
        }
        let timer: NodeJS.Timeout | undefined;
        const end = (): void => {
          response.removeListener("close", end);
          socket.removeListener("close", end);
          clearTimeout(timer);
          answered();
          if (!line || !socket.writable) return;
          line.phase = "head";
          line.feed();
          if (line.phase === "head") socket.resume();
        };
        response.once("prefinish", () => {
          timer = setTimeout(() => socket.destroy(), answerPatience);
        });
        response.once("close", end);
        // A response that never got the socket emits nothing.
        socket.once("close", end);
        handle();
      });
    },

    upgraded(socket) {
      const line = lines.get(socket);
      if (!line) return nothing;
      line.phase = "answer";
      line.leave();
      lines.delete(socket);
      return line.held;
    },
  };
}
