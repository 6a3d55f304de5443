/** Probes the caller's sound server: where it is, whether it accepts the sandbox, and with which cookie. */
import { lstatSync, readFileSync } from "node:fs";
import { IsolateError } from "../../../../protocol/errors.ts";
import { SystemCallError } from "../../../run/linux/call.ts";
import type { Environment, RunRequest } from "../../../run/options/requests.ts";
import type { Shown } from "../../../run/shown.ts";
import { converse, reasonOf } from "../conversation.ts";
import type { Session } from "../session.ts";
import { clientConfiguration, shareSound } from "./audio.ts";
import { findSoundServer } from "./find-sound.ts";
import { authRequest, cookieLength, isAccepted, packetHead, packetRest } from "./pulse-protocol.ts";
import { cookieFiles, type SoundServer, soundServers } from "./sound-server.ts";

/** Throws `cannot-share`. */
export function probeSound(network: RunRequest["network"], session: Session): Shown {
  const { environment, uid, libc } = session;
  const servers = soundServers(environment, uid);
  if (!servers) {
    const wrong = `PULSE_SERVER '${environment.PULSE_SERVER}' cannot be understood`;
    throw cannotPlay(wrong, "write it as unix:/PATH, or leave it unset");
  }
  const server = findSoundServer(servers);
  if (!server) throw nobodyPlays(servers, uid);
  const cookie = readCookie(environment);
  if (server.kind === "network") {
    if (network === "none") {
      const wrong = `the server '${server.name}' is on the network, and the sandbox has no network`;
      throw cannotPlay(wrong, "share the host's network: -n");
    }
  } else {
    if (server.shared) expectHonest(server.path, session);
    expectAccess(server.path, cookie, session);
  }
  return shareSound({
    server,
    cookie: cookie && libc.memoryFile(cookie),
    configuration: libc.memoryFile(new TextEncoder().encode(clientConfiguration)),
  });
}

function cannotPlay(wrong: string, fix: string, cause?: unknown): IsolateError {
  return new IsolateError("cannot-share", { what: "the sound", wrong, fix }, cause);
}

function nobodyPlays(servers: readonly SoundServer[], uid: number): IsolateError {
  const looked = servers.flatMap((server) => (server.kind === "socket" ? [server.path] : [])).join(", ");
  const fix =
    uid === 0
      ? "root has no sound server; name the user's: PULSE_SERVER=/run/user/UID/pulse/native PULSE_COOKIE=FILE isolate -2 ..."
      : "start one, for example with 'systemctl --user start pipewire-pulse', or name its socket: PULSE_SERVER=PATH";
  return cannotPlay(`there is no PulseAudio or PipeWire here (no socket at ${looked})`, fix);
}

/** Anybody can make a socket in /tmp and hear what is played to it. So the owner matters unless the caller named it. */
function expectHonest(path: string, { uid, environment, warn }: Session): void {
  const { uid: owner } = lstatSync(path);
  if (owner !== uid && owner !== 0 && !environment.PULSE_SERVER) {
    const fix = `start one in your own session, or trust that user: PULSE_SERVER=${path} isolate -2 ...`;
    throw cannotPlay(`you have no server, and ${path} belongs to user ${owner}`, fix);
  }
  warn(
    `every local user can reach the sound server at ${path}, and record with it unless it requires a cookie`,
    "remove 'auth-anonymous' and the socket from its configuration: your session's own socket is enough",
  );
}

/** Only a file that the caller named has to be valid. */
function readCookie(environment: Environment): Uint8Array | undefined {
  for (const file of cookieFiles(environment)) {
    let content: Uint8Array;
    try {
      content = readFileSync(file);
    } catch (error) {
      if (!environment.PULSE_COOKIE) continue;
      const { code = "unknown error" } = error as NodeJS.ErrnoException;
      throw cannotPlay(
        `the server's cookie in ${file} cannot be read: ${code}`,
        "name another file: PULSE_COOKIE=FILE, or unset PULSE_COOKIE",
        error,
      );
    }
    if (content.length === cookieLength) return content;
    if (environment.PULSE_COOKIE)
      throw cannotPlay(
        `the server's cookie in ${file} does not have ${cookieLength} bytes`,
        "name another file: PULSE_COOKIE=FILE",
      );
  }
  return undefined;
}

function expectAccess(path: string, cookie: Uint8Array | undefined, session: Session): void {
  if (asks(path, cookie, session)) return;
  throw cannotPlay(
    `the server at ${path} refuses${cookie ? " your cookie" : ", and you have no cookie for it"}`,
    "name the file that has its cookie: PULSE_COOKIE=/home/USER/.config/pulse/cookie isolate -2 ...",
  );
}

/** Whether the server accepts the sandbox. */
function asks(path: string, cookie: Uint8Array | undefined, { libc, connectAsSandbox }: Session): boolean {
  try {
    const conversation = converse(connectAsSandbox(path), libc);
    try {
      conversation.send(authRequest(cookie));
      const rest = packetRest(conversation.receive(packetHead));
      if (rest === undefined)
        throw cannotPlay(`the server at ${path} is not PulseAudio`, "name another: PULSE_SERVER=PATH");
      return isAccepted(conversation.receive(rest));
    } finally {
      conversation.close();
    }
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw cannotPlay(`${path}: ${reasonOf(error)}`, "restart the server, or name another: PULSE_SERVER=PATH", error);
  }
}
