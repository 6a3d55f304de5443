/** Who is calling, as the kernel says, and what they may. Never a field of a request or a variable. */
import type { Socket } from "node:net";
import type { Accounts } from "../accounts.ts";
import type { TemplateConfig } from "../config.ts";
import { holderOf, openHolder } from "../leases/holder.ts";
import type { Lessee } from "../leases/leases.ts";
import { peerCredentials, peerGroups, peerPidfd } from "../libc.ts";
import { IsolateError } from "../protocol/errors.ts";
import type { TemplateName } from "../protocol/names.ts";
import type { Route } from "../protocol/routes.ts";

export interface Peer {
  readonly uid: number;
  /** Primary group. */
  readonly gid: number;
  readonly pid: number;
  /** All groups, the primary one included. */
  readonly groups: ReadonlySet<number>;
}

interface SocketWithHandle extends Socket {
  readonly _handle?: { readonly fd: number };
}

const known = new WeakMap<Socket, Peer>();

/** Throws `lost-daemon` once it is closed. */
export function descriptorOf(socket: Socket): number {
  const fd = (socket as SocketWithHandle)._handle?.fd;
  if (fd === undefined || fd < 0) throw new IsolateError("lost-daemon", { cause: "the connection has ended" });
  return fd;
}

/** The process at the other end at the time of its connect(2), asked once for each connection. */
export function peerOf(socket: Socket): Peer {
  const before = known.get(socket);
  if (before) return before;
  const fd = descriptorOf(socket);
  const { pid, uid, gid } = peerCredentials(fd);
  const peer = { pid, uid, gid, groups: new Set([gid, ...peerGroups(fd)]) };
  known.set(socket, peer);
  return peer;
}

/** The peer as the holder of a lease; its pidfd belongs to the caller of this function. */
export function lesseeOf(socket: Socket): Lessee {
  const { uid, gid, pid } = peerOf(socket);
  const pidfd = peerPidfd(descriptorOf(socket));
  const holder = holderOf(pid) ?? { pid, startTime: "gone" };
  return { uid, gid, ...holder, pidfd: pidfd ?? openHolder(holder) };
}

export interface Policy {
  /** Throws `not-member` or `not-root`. */
  mayCall(peer: Peer, route: Pick<Route, "access" | "verb">): void;
  /** Throws `not-allowed`. */
  mayLease(peer: Peer, template: TemplateName): Promise<void>;
}

export interface PolicyOptions {
  readonly group: { readonly name: string; readonly gid: number };
  readonly templates: readonly TemplateConfig[];
  readonly accounts: Accounts;
}

export function createPolicy({ group, templates, accounts }: PolicyOptions): Policy {
  return {
    mayCall(peer, { access, verb }) {
      if (peer.uid === 0) return;
      if (!peer.groups.has(group.gid)) throw new IsolateError("not-member", { group: group.name, uid: peer.uid });
      if (access === "root") throw new IsolateError("not-root", { what: verb });
    },
    async mayLease(peer, template) {
      const entry = templates.find((one) => one.name === template);
      if (peer.uid === 0 || !entry || (!entry.users && !entry.groups)) return;
      for (const user of entry.users ?? []) if ((await accounts.uid(user)) === peer.uid) return;
      for (const name of entry.groups ?? []) {
        const gid = await accounts.gid(name);
        if (gid !== undefined && peer.groups.has(gid)) return;
      }
      throw new IsolateError("not-allowed", { template, uid: peer.uid });
    },
  };
}
