/** Finds a session's PulseAudio, or PipeWire in its place: pulseaudio(1), pulse-client.conf(5). */
import type { Environment } from "../../../run/options/requests.ts";

export type SoundServer =
  | { readonly kind: "socket"; readonly path: string; readonly shared: boolean }
  /** The server's name as in `PULSE_SERVER`. */
  | { readonly kind: "network"; readonly name: string };

/** The socket of the original isolate, which authenticates nobody. */
export const sharedSocket = "/tmp/pulse-socket";

/** Returns the servers to try in order; `undefined` if `PULSE_SERVER` cannot be understood. */
export function soundServers(environment: Environment, uid: number): readonly SoundServer[] | undefined {
  const { PULSE_SERVER: named, XDG_RUNTIME_DIR: runtime } = environment;
  if (named) {
    const servers = named.split(/\s+/).flatMap(parseServer);
    return servers.length > 0 ? servers : undefined;
  }
  const directories = [...(runtime ? [runtime] : []), `/run/user/${uid}`];
  return [
    ...[...new Set(directories)].map((directory) => ({
      kind: "socket" as const,
      path: `${directory}/pulse/native`,
      shared: false,
    })),
    { kind: "socket", path: sharedSocket, shared: true },
  ];
}

/** Returns the files that may hold the cookie, in libpulse's order. */
export function cookieFiles({ PULSE_COOKIE: named, XDG_CONFIG_HOME: config, HOME: home }: Environment): string[] {
  if (named) return [named];
  return [
    ...(config || home ? [`${config || `${home}/.config`}/pulse/cookie`] : []),
    ...(home ? [`${home}/.pulse-cookie`] : []),
  ];
}

function parseServer(text: string): SoundServer[] {
  const name = text.replace(/^\{[^}]*\}/, ""); // `{machine}server`
  const path = /^(?:unix:)?(\/.*)$/.exec(name)?.[1];
  if (path !== undefined) return [{ kind: "socket", path, shared: path === sharedSocket }];
  return /^(?!unix:)(?:tcp[46]?:)?[^:\s]/.test(name) ? [{ kind: "network", name }] : [];
}
