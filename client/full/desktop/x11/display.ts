/** Parses `$DISPLAY`, X(7): `:0`, `:0.0`, `unix:0`, `localhost:10.0`. */

export interface Display {
  readonly number: number;
  /** `.0`, or empty. */
  readonly screen: string;
  /** The name of the host, if it is reached by TCP. */
  readonly host: string | undefined;
}

/**
 * Returns the parts. A path instead of a host is rejected, because Debian 12's libxcb does not understand it either.
 */
export function parseDisplay(text: string): Display | undefined {
  const [, protocol, host = "", number, screen = ""] =
    /^(?:(unix|tcp|inet6?)\/)?([^/]*):(\d{1,9})(\.\d{1,4})?$/.exec(text) ?? [];
  if (number === undefined) return undefined;
  const isLocal = protocol === "unix" || (protocol === undefined && (host === "" || host === "unix"));
  return {
    number: Number(number),
    screen,
    host: isLocal ? undefined : host.replace(/^\[(.*)\]$/, "$1") || "localhost",
  };
}

/** Returns the socket's path of a server on this host. */
export function socketOf({ number }: Pick<Display, "number">): string {
  return `/tmp/.X11-unix/X${number}`;
}

/**
 * Returns a display number for the inside for which the host has no abstract socket. libxcb tries the abstract socket
 * first. If that is refused (landlock(7)) and not absent, it does not try the path. `sockets`: /proc/net/unix.
 */
export function unlisted(display: Pick<Display, "number">, sockets: string): number {
  const listed = new Set(sockets.split("\n").map((line) => line.slice(line.lastIndexOf(" ") + 1)));
  let number = display.number;
  while (listed.has(`@${socketOf({ number })}`)) number += 1000;
  return number;
}
