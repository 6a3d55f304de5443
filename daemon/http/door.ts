/**
 * Limits connections, so that no account can lock others out: each has a limit, and never more than half of the
 * remaining connections, so that others always get some. The limits do not apply to root, for whom some stay reserved.
 */
import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import { Socket } from "node:net";
import { IsolateError, toIsolateError } from "../../protocol/errors.ts";
import { closeDescriptor } from "../linux/call.ts";
import { acceptAtOnce, peerCredentials, sendAtOnce } from "../linux/peers.ts";
import { refusal, refuse } from "./linger.ts";
import { descriptorOf, type Policy, peerOf } from "./peers.ts";
import type { IsSubordinate } from "./subordinate.ts";

export interface DoorOptions {
  readonly policy: Pick<Policy, "mayConnect">;
  readonly isSubordinate: IsSubordinate;
  /** The most open connections of one account, including those of its leases. */
  readonly perAccount: () => number;
  /** The most open connections of all accounts except root. */
  readonly all: number;
  /** The most new connections of one account per second. */
  readonly perSecond: number;
  /** Milliseconds, monotonic. */
  readonly clock: () => number;
}

interface Account {
  open: number;
  /** The number of new connections that it may still make. */
  left: number;
  at: number;
}

/** The account of all subordinate ids. */
const strangers = -1;
/** The most refused connections that wait for their peer to read the reason. */
const mostRefused = 64;
/** A lease takes several descriptors: its connection, its holder, a mount. */
const descriptorsEach = 4;

/** Returns the value for `DoorOptions.all`, from proc_pid_limits(5). */
export function mostConnections(): number {
  const soft = /^Max open files +([0-9]+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return Math.floor(Number(soft ?? 1024) / descriptorsEach);
}

/** Calls `enter` for each new connection that may stay. Must be called before the server listens. */
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

  /** Returns why to close a connection before any work is done on it: a user may open many to keep the daemon busy. */
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
      attempt(() => sendAtOnce(descriptorOf(socket), Buffer.from(refusal(error))));
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

/** Milliseconds for accepting waiting connections, before others are served. */
const acceptTime = 4;

/**
 * Checks each connection before Node makes a socket and a parser for it, which takes ten times as long as closing it.
 * The answer stays readable for a peer that has not yet written: unix(7). Accepts all waiting connections, as libuv
 * accepts only one in each round of the event loop: a caller behind a hundred others would wait for a hundred rounds.
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
        const socket = attempt(() => new Socket({ fd, allowHalfOpen: true, readable: true, writable: true }));
        if (socket) server.emit("connection", socket);
        else closeDescriptor(fd);
      }
    }
  };
}

/** Ignores errors: a later step finds and reports them. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
