/** The process at the other end of a socket, and a socket's own path: unix(7), socket(7), sock_diag(7). */
import { checked, closeDescriptor, func, hasErrno } from "./call.ts";

const getsockopt = func("getsockopt", "int", ["int", "int", "int", "void *", "void *"]);
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;
const SO_PEERPIDFD = 77;

function socketOption(fd: number, option: number, buffer: Buffer): number {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(buffer.length);
  checked("getsockopt", getsockopt(fd, SOL_SOCKET, option, buffer, length));
  return length.readUInt32LE();
}

/** Returns the peer's credentials at the time of its connect(2). */
export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } {
  const ucred = Buffer.alloc(12);
  socketOption(fd, SO_PEERCRED, ucred);
  return { pid: ucred.readInt32LE(0), uid: ucred.readUInt32LE(4), gid: ucred.readUInt32LE(8) };
}

/** Returns the peer's supplementary groups, which `SO_PEERCRED` lacks. */
export function peerGroups(fd: number): number[] {
  for (let room = 64; ; room *= 16) {
    const ids = Buffer.alloc(room * 4);
    try {
      const bytes = socketOption(fd, SO_PEERGROUPS, ids);
      return Array.from({ length: bytes / 4 }, (_, index) => ids.readUInt32LE(index * 4));
    } catch (error) {
      // ERANGE: there are more groups. NGROUPS_MAX is 65536, credentials(7).
      if (!hasErrno(error, "ERANGE") || room >= 65536) throw error;
    }
  }
}

/**
 * Returns a pidfd of the process that called connect(2) (Linux 6.5); `undefined` on an older kernel. Throws if that
 * process is gone.
 */
export function peerPidfd(fd: number): number | undefined {
  const descriptor = Buffer.alloc(4);
  try {
    socketOption(fd, SO_PEERPIDFD, descriptor);
  } catch (error) {
    if (hasErrno(error, "ENOPROTOOPT")) return undefined;
    throw error;
  }
  return descriptor.readInt32LE();
}

const socketCall = func("socket", "int", ["int", "int", "int"]);
const sendCall = func("send", "long", ["int", "void *", "size_t", "int"]);
const recvCall = func("recv", "long", ["int", "void *", "size_t", "int"]);

/** Returns the inode of the socket connected to the Unix socket `inode`; `undefined` if the kernel cannot tell. */
export function peerInode(inode: number): number | undefined {
  const [AF_NETLINK, NETLINK_SOCK_DIAG, SOCK_RAW_CLOEXEC] = [16, 4, 3 | 0o2000000];
  const [SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, AF_UNIX, UDIAG_SHOW_PEER, UNIX_DIAG_PEER] = [20, 1, 1, 4, 2];
  const fd = checked("socket", socketCall(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG));
  try {
    const request = Buffer.alloc(40); // struct nlmsghdr, struct unix_diag_req
    request.writeUInt32LE(request.length, 0);
    request.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
    request.writeUInt16LE(NLM_F_REQUEST, 6);
    request.writeUInt8(AF_UNIX, 16);
    request.writeUInt32LE(0xffffffff, 20);
    request.writeUInt32LE(inode, 24);
    request.writeUInt32LE(UDIAG_SHOW_PEER, 28);
    request.fill(0xff, 32);
    checked("send", Number(sendCall(fd, request, request.length, 0)));
    const answer = Buffer.alloc(4096);
    const length = checked("recv", Number(recvCall(fd, answer, answer.length, 0)));
    if (answer.readUInt16LE(4) !== SOCK_DIAG_BY_FAMILY) return undefined;
    for (let at = 32; at + 8 <= length; at += (answer.readUInt16LE(at) + 3) & ~3) {
      if (answer.readUInt16LE(at + 2) === UNIX_DIAG_PEER) return answer.readUInt32LE(at + 4);
      if (answer.readUInt16LE(at) < 4) return undefined;
    }
    return undefined;
  } finally {
    closeDescriptor(fd);
  }
}

const getsockname = func("getsockname", "int", ["int", "void *", "void *"]);
const AF_UNIX = 1;
const pathOffset = 2;

/** Returns the path where the socket listens; `undefined` if it is not a Unix socket with a path. */
export function listeningPath(fd: number): string | undefined {
  const address = Buffer.alloc(110); // struct sockaddr_un
  const length = Buffer.alloc(4);
  length.writeUInt32LE(address.length);
  checked("getsockname", getsockname(fd, address, length));
  const path = address.toString("utf8", pathOffset, length.readUInt32LE()).replace(/\0.*$/s, "");
  return address.readUInt16LE() === AF_UNIX && path !== "" ? path : undefined;
}

const acceptCall = func("accept4", "int", ["int", "void *", "void *", "int"]);

/** Accepts the next connection waiting at a non-blocking listening socket; `undefined` if there is none. */
export function acceptAtOnce(fd: number): number | undefined {
  const nonBlockingAndCloexec = 0o4000 | 0o2000000;
  const accepted = acceptCall(fd, null, null, nonBlockingAndCloexec);
  return accepted < 0 ? undefined : accepted;
}

/** Writes to a socket as much as its buffer accepts now. Ignores the rest and all errors. */
export function sendAtOnce(fd: number, bytes: Buffer): void {
  const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000;
  sendCall(fd, bytes, bytes.length, MSG_DONTWAIT_NOSIGNAL);
}
