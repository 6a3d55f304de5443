/** Probes the caller's X display: where it is, whether its server accepts the sandbox, and with which cookie. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { IsolateError } from "../../../../protocol/errors.ts";
import { SystemCallError } from "../../../run/linux/call.ts";
import type { Libc } from "../../../run/linux/libc.ts";
import type { Environment, RunRequest, Screen } from "../../../run/options/requests.ts";
import type { Shown } from "../../../run/shown.ts";
import { reasonOf } from "../conversation.ts";
import type { Session } from "../session.ts";
import { type Display, parseDisplay, socketOf, unlisted } from "./display.ts";
import { askServer, generateUntrusted, type Hello } from "./x-server.ts";
import { showScreen } from "./x11.ts";
import { findCookie, parseXauthority, xauthorityFor } from "./xauthority.ts";

type NetworkWish = Pick<RunRequest, "network" | "abstractSockets">;

const another = "name another display, as in DISPLAY=:0 isolate -1 ..., or remove -1";

export function cannotShow(wrong: string, fix: string, cause?: unknown): IsolateError {
  return new IsolateError("cannot-share", { what: "the screen", wrong, fix }, cause);
}

/** Throws `cannot-share`. */
export function probeScreen(kind: Screen, network: NetworkWish, session: Session): Shown {
  const { environment } = session;
  const display = readDisplay(environment);
  const found = readCookie(display, environment);
  if (display.host !== undefined) return showRemote(kind, network, display, found, session);
  const number = numberInside(display, network, session.libc);
  const [cookie, held] = kind === "trusted" ? [admit(display, found, session)] : demote(display, found, session);
  return showScreen({
    display,
    number,
    xauthority: cookie && session.libc.memoryFile(xauthorityFor(cookie)),
    held,
  });
}

function readDisplay({ DISPLAY: name, WAYLAND_DISPLAY: wayland }: Environment): Display {
  if (!name) {
    const wrong = wayland ? "this is a Wayland session without an X server (Xwayland)" : "there is no X display here";
    throw cannotShow(`${wrong}: DISPLAY is not set`, another);
  }
  const display = parseDisplay(name);
  if (!display) throw cannotShow(`DISPLAY '${name}' cannot be understood`, "write it as :0");
  return display;
}

interface Found {
  readonly cookie: Uint8Array | undefined;
  /** Says where the cookie was looked for. */
  readonly looked: string;
}

/** Finds the caller's cookie. A missing file contains none, as for every X client. */
function readCookie({ number }: Display, { XAUTHORITY: named, HOME: home }: Environment): Found {
  const file = named || (home ? `${home}/.Xauthority` : undefined);
  if (file === undefined) return { cookie: undefined, looked: "neither XAUTHORITY nor HOME is set" };
  let content: Uint8Array;
  try {
    content = readFileSync(file);
  } catch (error) {
    const { code = "it cannot be read" } = error as NodeJS.ErrnoException;
    return { cookie: undefined, looked: code === "ENOENT" ? `there is no ${file}` : `${file}: ${code}` };
  }
  const entries = parseXauthority(content);
  if (!entries) throw cannotShow(`${file} is not an X authorization file, or is incomplete`, `xauth -f ${file} list`);
  return { cookie: findCookie(entries, hostname(), number), looked: `${file} has no cookie for it` };
}

/** Returns the cookie to use; `undefined` if the server accepts the sandbox by its user id. */
function admit(display: Display, { cookie, looked }: Found, session: Session): Uint8Array | undefined {
  const answer = greet(display, cookie, session, session.connectAsSandbox);
  answer.end();
  if (answer.refused === undefined) return cookie;
  const fix =
    session.uid === 0
      ? "the sandbox does not run as the host's root, so it needs a cookie: XAUTHORITY=/home/USER/.Xauthority isolate -1 ..."
      : "name the file that has its cookie: XAUTHORITY=FILE isolate -1 ...";
  throw cannotShow(
    `the server of the display ':${display.number}' refuses: ${answer.refused}${cookie ? "" : ` (${looked})`}`,
    fix,
  );
}

/** Returns a cookie that the server trusts less, and a connection that keeps it valid. */
function demote(display: Display, { cookie, looked }: Found, session: Session): [Uint8Array, number] {
  const name = `the server of the display ':${display.number}'`;
  if (session.ids) {
    throw cannotShow(
      `with -u or -g the sandbox can take on ids that ${name} accepts without a cookie and trusts`,
      "remove -u and -g",
    );
  }
  // The server trusts every client that it accepts without a cookie, so nothing would make the sandbox use its cookie.
  const stranger = greet(display, undefined, session, session.connectAsSandbox);
  stranger.end();
  if (stranger.refused === undefined) {
    throw cannotShow(
      `${name} accepts you without a cookie, so the sandbox would not need the untrusted one`,
      "see 'xhost', and remove yourself: xhost -si:localuser:$USER",
    );
  }
  const own = greet(display, cookie, session, session.connect);
  try {
    if (own.refused !== undefined) {
      const where = cookie ? "" : ` (${looked})`;
      throw cannotShow(`${name} refuses: ${own.refused}${where}`, "name the file that has its cookie: XAUTHORITY=FILE");
    }
    const untrusted = orCannot(name, () => generateUntrusted(own.conversation));
    if (!untrusted) {
      throw cannotShow(
        `${name} makes no cookies for untrusted clients (it has no SECURITY extension, or you are untrusted yourself)`,
        "use another server, such as Xephyr, or trust the command and use -1",
      );
    }
    const holder = greet(display, untrusted, session, session.connectAsSandbox);
    if (holder.refused !== undefined) throw cannotShow(`${name} refuses its own cookie: ${holder.refused}`, another);
    return [untrusted, holder.conversation.descriptor];
  } finally {
    own.end();
  }
}

/** The number stays if abstract sockets are allowed: anybody could listen at another number and get the cookie. */
function numberInside(display: Display, { network, abstractSockets }: NetworkWish, libc: Libc): number {
  const scoped = network === "host" && !abstractSockets && libc.scopesSockets();
  return scoped ? unlisted(display, libc.readText("/proc/net/unix")) : display.number;
}

/** A display forwarded by ssh(1). It is not probed: a connection to it would be a connection to the remote host. */
function showRemote(
  kind: Screen,
  { network }: NetworkWish,
  display: Display,
  { cookie, looked }: Found,
  { libc }: Session,
): Shown {
  const { host = "", number } = display;
  const name = `the display '${host}:${number}'`;
  if (!["localhost", "127.0.0.1", "::1", hostname()].includes(host)) {
    throw cannotShow(`${name} belongs to another host and is not encrypted`, "let ssh forward it: ssh -X");
  }
  if (network !== "host") {
    throw cannotShow(`${name} needs the host's network, which the sandbox does not have`, "share it: -n");
  }
  if (kind === "untrusted") {
    throw cannotShow(
      `ssh forwards ${name} with a single cookie, and so with a single level of trust`,
      "log in with 'ssh -X -o ForwardX11Trusted=no', and use -1",
    );
  }
  if (!cookie)
    throw cannotShow(`there is no cookie for ${name} (${looked})`, "log in with ssh -X, and see 'xauth list'");
  // The root may not be able to resolve host names.
  const reached = { ...display, host: host === "::1" ? host : "127.0.0.1" };
  return showScreen({ display: reached, number, xauthority: libc.memoryFile(xauthorityFor(cookie)), held: undefined });
}

/** Throws `cannot-share` if nothing answers. */
function greet(
  display: Display,
  cookie: Uint8Array | undefined,
  { libc }: Session,
  connect: (path: string) => number,
): Hello {
  const path = socketOf(display);
  try {
    return askServer(connect(path), cookie, libc);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw cannotShow(`the display ':${display.number}' has no server at ${path}: ${reasonOf(error)}`, another, error);
  }
}

function orCannot<T>(name: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw cannotShow(`${name} stopped answering: ${reasonOf(error)}`, another, error);
  }
}
