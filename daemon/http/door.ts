/**
 * Who may connect, and how often. Nobody keeps others out by connections alone: each account has a limit, and never more
 * than half of what is left, so that there is always some for others; root has what members cannot use up.
 */
import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import { Socket } from "node:net";
import { IsolateError, toIsolateError } from "../../protocol/errors.ts";
import { closeDescriptor } from "../linux/call.ts";
import { acceptAtOnce, peerCredentials, sendAtOnce } from "../linux/peers.ts";
import { refusal, refuse } from "./linger.ts";
import { type Policy, peerOf } from "./peers.ts";
import type { IsSubordinate } from "./subordinate.ts";

export interface DoorOptions {
  readonly policy: Pick<Policy, "mayConnect">;
  readonly isSubordinate: IsSubordinate;
  /** Open connections of one account, those of its leases included. */
  readonly perAccount: () => number;
  /** Open connections of all accounts but root's. */
  readonly all: number;
  /** New connections of one account in a second. */
  readonly perSecond: number;
  /** Milliseconds, monotonic. */
  readonly clock: () => number;
}

interface Account {
  open: number;
  /** New connections that it may still make. */
  left: number;
  at: number;
}

/** Of all ids that are nobody's. */
const strangers = -1;
/** Refused connections that wait for their peer to read why. */
const mostRefused = 64;
/** A lease takes some descriptors: its connection, its holder, a mount. */
const descriptorsEach = 4;

/** For `DoorOptions.all`: proc_pid_limits(5). */
export function mostConnections(): number {
  const soft = /^Max open files +([0-9]+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return Math.floor(Number(soft ?? 1024) / descriptorsEach);
}

/** Calls `enter` for each new connection that may stay. To be called before the server listens. */
export function keepDoor(server: Server, options: DoorOptions, enter: (socket: Socket) => void): void {
  const { policy, isSubordinate, perAccount, all, perSecond, clock } = options;
  const accounts = new Map<number, Account>();
  let total = 0;
  let refused = 0;

  function accountOf({ uid, gid }: { uid: number; gid: number }): Account {
    const key = isSubordinate({ uid, gid }) ? strangers : uid;
    const now = clock();
    const account = accounts.get(key) ?? { open: 0, left: perSecond, at: now };
    account.left = Math.min(perSecond, account.left + ((now - account.at) * perSecond) / 1000);
    account.at = now;
    accounts.set(key, account);
    return account;
  }

  const isFull = ({ open }: Account): boolean => open >= Math.min(perAccount(), all - total);
  const tooMany = (uid: number, { open }: Account) => new IsolateError("too-many-connections", { uid, open });

  /** Why a connection is closed before anything is made of it: for the many that somebody opens to keep us busy. */
  function whyNot(fd: number): IsolateError | undefined {
    const { uid, gid } = peerCredentials(fd);
    if (uid === 0) return undefined;
    const account = accountOf({ uid, gid });
    const mayWait = refused < mostRefused;
    return account.left < 1 || (isFull(account) && !mayWait) ? tooMany(uid, account) : undefined;
  }

  function admit(socket: Socket): void {
    const peer = peerOf(socket);
    if (peer.uid !== 0) {
      const account = accountOf(peer);
      account.left--;
      policy.mayConnect(peer);
      if (isFull(account)) throw tooMany(peer.uid, account);
      account.open++;
      total++;
      socket.once("close", () => {
        total--;
        account.open--;
      });
    }
    enter(socket);
  }

  function turnAway(socket: Socket, error: IsolateError): void {
    if (refused >= mostRefused) {
      socket.destroy();
      return;
    }
    refused++;
    socket.once("close", () => refused--);
    refuse(socket, error);
  }

  server.on("connection", (socket: Socket) => {
    try {
      admit(socket);
    } catch (error) {
      turnAway(socket, toIsolateError(error));
    }
  });
  server.once("listening", () => acceptAll(server, whyNot));
}

interface ListeningHandle {
  readonly fd: number;
  onconnection(status: number, client?: { readonly fd: number; close(): void }): void;
}

/** Milliseconds for connections that wait, before others are served. */
const acceptTime = 4;

/**
 * Looks at each connection before Node makes a socket and a parser for it, which takes ten times as long as to close it;
 * the answer stays readable for a peer that has not yet written: unix(7). And takes as many as wait, where libuv takes one
 * in each round of the event loop: whoever comes after a hundred others would wait for a hundred rounds.
 */
function acceptAll(server: Server, whyNot: (fd: number) => IsolateError | undefined): void {
  const handle = (server as Server & { readonly _handle?: ListeningHandle })._handle;
  if (!handle) return;
  const { onconnection } = handle;
  handle.onconnection = function (status, client) {
    const error = status === 0 && client ? attempt(() => whyNot(client.fd)) : undefined;
    if (error && client) {
      sendAtOnce(client.fd, Buffer.from(refusal(error)));
      client.close();
    } else {
      onconnection.call(this, status, client);
    }
    const end = performance.now() + acceptTime;
    while (performance.now() < end) {
      const fd = acceptAtOnce(handle.fd);
      if (fd === undefined) return;
      const refused = attempt(() => whyNot(fd));
      if (refused) {
        sendAtOnce(fd, Buffer.from(refusal(refused)));
        closeDescriptor(fd);
      } else {
        server.emit("connection", new Socket({ fd, allowHalfOpen: true, readable: true, writable: true }));
      }
    }
  };
}

/** What cannot be known here is found out, and said, a moment later. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
