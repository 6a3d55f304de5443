/** Shows the caller's sound server in a sandbox: its socket, and the cookie in a file of this run. */
import type { Shown } from "../../../run/shown.ts";
import type { SoundServer } from "./sound-server.ts";

export interface SoundFacts {
  readonly server: SoundServer;
  /** A descriptor from which the cookie can be read; `undefined` without a cookie. */
  readonly cookie: number | undefined;
  /** A descriptor from which `clientConfiguration` can be read. */
  readonly configuration: number;
}

/** The host and the sandbox do not share memory. */
export const clientConfiguration = "autospawn = no\nenable-shm = no\n";

const place = (name: string): string => `/dev/isolate-pulse${name}`;

export function shareSound({ server, cookie, configuration }: SoundFacts): Shown {
  return {
    mounts: [
      ...(server.kind === "socket"
        ? [{ kind: "bind", from: server.path, source: "file", to: place(""), readOnly: true } as const]
        : []),
      ...(cookie === undefined ? [] : [{ kind: "data", descriptor: cookie, to: place("-cookie") } as const]),
      { kind: "data", descriptor: configuration, to: place("-client.conf") },
    ],
    environment: {
      PULSE_SERVER: server.kind === "socket" ? `unix:${place("")}` : server.name,
      ...(cookie === undefined ? {} : { PULSE_COOKIE: place("-cookie") }),
      PULSE_CLIENTCONFIG: place("-client.conf"),
    },
  };
}
