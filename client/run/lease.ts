/**
 * Gets a clone from the daemon. The returned descriptor is the lease: nothing is written to it again, and the clone is
 * held as long as a process has it open. Uses system calls, because the starter has nothing else, and `node:net` would
 * close its sockets on exec.
 */
import { type ErrorCode, IsolateError } from "../../protocol/errors.ts";
import type { Grant } from "../../protocol/lease.ts";
import { Refusal } from "../../protocol/refusal.ts";
import { unreachable } from "../../protocol/unreachable.ts";
import { type Ask, createAnswerReader, leaseRequest } from "./lease-wire.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";
import type { Print } from "./report/print.ts";

export interface Lease {
  readonly descriptor: number;
  readonly grant: Grant;
}

export interface LeaseAsk extends Ask {
  readonly socket: string;
}

/** Milliseconds; a shorter wait is not reported. */
const patience = 400;
const hungUp: readonly string[] = ["EPIPE", "ECONNRESET"];
/** The same for a daemon that its socket is starting. */
const startPatience = 3000;

/** Asks for a lease without waiting for the answer. Throws `not-running`, `socket-forbidden` and `lost-daemon`. */
export function askLease(ask: LeaseAsk, libc: Libc): number {
  const descriptor = connectTo(ask.socket, libc);
  return orClose(descriptor, libc, () => {
    sendRequest(descriptor, leaseRequest(ask), libc);
    return descriptor;
  });
}

/** Sends a request. Ignores a closed connection: if the daemon refused early, its answer can still be read. */
export function sendRequest(descriptor: number, request: string, libc: Libc): void {
  try {
    libc.sendAll(descriptor, request);
  } catch (error) {
    if (!(error instanceof SystemCallError) || !hungUp.includes(error.errno)) throw error;
  }
}

/**
 * Waits for the answer to `askLease`, for as long as the daemon takes. Throws `lost-daemon` and `Refusal`. If the
 * daemon is stopping, asks `again`: under systemd the socket stays open and leads to the next daemon.
 */
export function awaitLease(
  descriptor: number,
  ask: LeaseAsk,
  again: () => number,
  { libc, print }: { readonly libc: Libc; readonly print: Print },
): Lease {
  try {
    return orClose(descriptor, libc, () => ({ descriptor, grant: awaitGrant(descriptor, ask, libc, print) }));
  } catch (error) {
    const stopping: ErrorCode = "draining";
    if (!(error instanceof Refusal) || error.code !== stopping) throw error;
    return awaitLease(again(), ask, again, { libc, print });
  }
}

function orClose<T>(descriptor: number, libc: Libc, act: () => T): T {
  try {
    return act();
  } catch (error) {
    libc.close(descriptor);
    throw error instanceof SystemCallError ? new IsolateError("lost-daemon", { cause: error.errno }, error) : error;
  }
}

/** Connects to the daemon. Throws `not-running` and `socket-forbidden`. */
export function connectTo(socket: string, libc: Libc): number {
  try {
    return libc.connectUnix(socket);
  } catch (error) {
    throw error instanceof SystemCallError ? unreachable(socket, error.errno, error) : error;
  }
}

function awaitGrant(descriptor: number, { template }: LeaseAsk, libc: Libc, print: Print): Grant {
  const answers = createAnswerReader();
  const buffer = new Uint8Array(64 * 1024);
  let said = "";
  let reason = "the daemon does not answer yet";
  for (let wait = startPatience; ; wait = patience) {
    if (reason !== said && !libc.readable(descriptor, wait)) {
      print.info(`waiting for a copy of '${template}': ${reason}`);
      said = reason;
    }
    const length = libc.read(descriptor, buffer);
    if (length === 0) throw new IsolateError("lost-daemon", { cause: "before it granted a clone" });
    for (const answer of answers.feed(buffer.subarray(0, length))) {
      if (answer.kind === "granted") return answer.grant;
      if (answer.kind === "refused") throw new Refusal(answer.error);
      if (answer.kind === "garbled") throw new IsolateError("lost-daemon", { cause: answer.wrong });
      reason = answer.reason;
    }
  }
}
