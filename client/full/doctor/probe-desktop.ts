/** Finds out whether the session has X, Wayland and PulseAudio, by connecting to each. */
import { connect } from "node:net";
import type { Environment } from "../../run/options/requests.ts";
import { findSoundServer } from "../desktop/sound/find-sound.ts";
import { soundServers } from "../desktop/sound/sound-server.ts";
import { parseDisplay, socketOf } from "../desktop/x11/display.ts";
import type { DesktopSocket } from "./facts.ts";

export async function probeDesktop(environment: Environment, uid: number): Promise<readonly DesktopSocket[]> {
  const { DISPLAY: name, WAYLAND_DISPLAY: wayland } = environment;
  const display = name ? parseDisplay(name) : undefined;
  const runtime = environment.XDG_RUNTIME_DIR ?? `/run/user/${uid}`;
  const sockets: Omit<DesktopSocket, "answers">[] = [
    {
      name: "x11",
      variable: name && "DISPLAY",
      path: display?.host === undefined ? display && socketOf(display) : undefined,
    },
    {
      name: "wayland",
      variable: wayland && "WAYLAND_DISPLAY",
      path: wayland && (wayland.startsWith("/") ? wayland : `${runtime}/${wayland}`),
    },
    sound(environment, uid),
  ];
  return Promise.all(
    sockets.map(async (socket) => ({ ...socket, answers: socket.path !== undefined && (await answers(socket.path)) })),
  );
}

function sound(environment: Environment, uid: number): Omit<DesktopSocket, "answers"> {
  const servers = soundServers(environment, uid) ?? [];
  const named = Boolean(environment.PULSE_SERVER);
  const server = findSoundServer(servers) ?? (named ? servers[0] : undefined);
  const path = server?.kind === "socket" ? server.path : undefined;
  return { name: "pulse", variable: named ? "PULSE_SERVER" : path && "XDG_RUNTIME_DIR", path };
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect({ path });
    const end = (answer: boolean): void => {
      connection.destroy();
      resolve(answer);
    };
    connection.setTimeout(2000, () => end(false));
    connection.on("connect", () => end(true));
    connection.on("error", () => end(false));
  });
}
