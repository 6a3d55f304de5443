/** What `$DISPLAY` names, X(7): `:0`, `:0.0`, `unix:0`, `localhost:10.0`. */

export interface Display {
  readonly number: number;
  /** `.0`, or nothing. */
  readonly screen: string;
  /** The name of a host, where it is reached by TCP. */
  readonly host: string | undefined;
}

/** A path in place of the host is not understood by the libxcb of Debian 12, so not here either. */
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

/** Of a server on this host. */
export function socketOf({ number }: Pick<Display, "number">): string {
  return `/tmp/.X11-unix/X${number}`;
}

/**
 * A number for it inside, of which the host has no abstract socket: libxcb tries that one first, and where it is refused
 * (landlock(7)) and not absent, it does not go on to the one with a path. `sockets`: /proc/net/unix.
 */
export function unlisted(display: Pick<Display, "number">, sockets: string): number {
  const listed = new Set(sockets.split("\n").map((line) => line.slice(line.lastIndexOf(" ") + 1)));
  let number = display.number;
  while (listed.has(`@${socketOf({ number })}`)) number += 1000;
  return number;
}
