/** Identifies callers by the kernel's answer, never by a field of a request or a variable, and checks their rights. */
import type { Socket } from "node:net";
import { IsolateError } from "../../protocol/errors.ts";
import type { TemplateName } from "../../protocol/names.ts";
import type { Route } from "../../protocol/routes.ts";
import type { TemplateConfig } from "../config.ts";
import { holderOf, openOtherEnd } from "../leases/holder.ts";
import type { Lessee } from "../leases/leases.ts";
import { closeDescriptor } from "../linux/call.ts";
import { peerCredentials, peerGroups, peerPidfd } from "../linux/peers.ts";
import { pidfdEnded } from "../linux/processes.ts";
import type { Accounts } from "../service/accounts.ts";
import type { IsSubordinate } from "./subordinate.ts";

export interface Peer {
  readonly uid: number;
  /** The primary group. */
  readonly gid: number;
  readonly pid: number;
  /** All groups, including the primary one. */
  readonly groups: ReadonlySet<number>;
}

interface SocketWithHandle extends Socket {
  readonly _handle?: { readonly fd: number };
}

const known = new WeakMap<Socket, Peer>();

/** Throws `lost-daemon` if the socket is closed. */
export function descriptorOf(socket: Socket): number {
  const fd = (socket as SocketWithHandle)._handle?.fd;
  if (fd === undefined || fd < 0) throw new IsolateError("lost-daemon", { cause: "the connection has ended" });
  return fd;
}

/** Returns the process at the other end at the time of its connect(2); looked up once for each connection. */
export function peerOf(socket: Socket): Peer {
  const before = known.get(socket);
  if (before) return before;
  const fd = descriptorOf(socket);
  const { pid, uid, gid } = peerCredentials(fd);
  const peer = { pid, uid, gid, groups: new Set([gid, ...peerGroups(fd)]) };
  known.set(socket, peer);
  return peer;
}

/** Returns the peer as the holder of a lease. The caller owns its pidfd. */
export function lesseeOf(socket: Socket): Lessee {
  const fd = descriptorOf(socket);
  const { uid, gid, pid } = peerOf(socket);
  const pidfd = peerPidfd(fd) ?? openOtherEnd(fd, pid, uid);
  const holder = holderOf(pid);
  // The pidfd is checked last: while the process lives it keeps its pid, so the facts read before are of this process.
  if (pidfd !== undefined && holder && !pidfdEnded(pidfd)) return { uid, gid, ...holder, pidfd };
  if (pidfd !== undefined) closeDescriptor(pidfd);
  throw new IsolateError("lost-daemon", { cause: "the process that connected has ended" });
}

export interface Policy {
  /** Throws `not-member` or `subordinate-id`. */
  mayConnect(peer: Peer): void;
  /** Throws the errors of `mayConnect`, and `not-root`. */
  mayCall(peer: Peer, route: Pick<Route, "access" | "verb">): void;
  /** Throws `not-root`, as a caller could choose another user's ids. */
  mayChooseIds(peer: Peer): void;
  /** Throws `not-allowed`. */
  mayLease(peer: Peer, template: TemplateName): Promise<void>;
}

export interface PolicyOptions {
  readonly group: { readonly name: string; readonly gid: number };
  /** Called each time, as the configuration may be reloaded. */
  readonly templates: () => readonly TemplateConfig[];
  readonly accounts: Accounts;
  readonly isSubordinate: IsSubordinate;
}

export function createPolicy({ group, templates, accounts, isSubordinate }: PolicyOptions): Policy {
  function mayConnect(peer: Peer): void {
    if (peer.uid === 0) return;
    if (isSubordinate(peer)) throw new IsolateError("subordinate-id", { uid: peer.uid, gid: peer.gid });
    if (!peer.groups.has(group.gid)) throw new IsolateError("not-member", { group: group.name, uid: peer.uid });
  }
  return {
    mayConnect,
    mayCall(peer, { access, verb }) {
      mayConnect(peer);
      if (access === "root" && peer.uid !== 0) throw new IsolateError("not-root", { what: verb });
    },
    mayChooseIds(peer) {
      if (peer.uid !== 0) throw new IsolateError("not-root", { what: "choose ids (-u, -g)" });
    },
    async mayLease(peer, template) {
      const entry = templates().find((one) => one.name === template);
      if (peer.uid === 0 || !entry || (!entry.users && !entry.groups)) return;
      const uids = await Promise.all((entry.users ?? []).map((user) => accounts.uid(user)));
      if (uids.includes(peer.uid)) return;
      const gids = await Promise.all((entry.groups ?? []).map((name) => accounts.gid(name)));
      if (gids.some((gid) => gid !== undefined && peer.groups.has(gid))) return;
      throw new IsolateError("not-allowed", { template, uid: peer.uid });
    },
  };
}
