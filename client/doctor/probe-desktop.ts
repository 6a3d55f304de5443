/** Whether the session has X, Wayland and PulseAudio, by connecting to each. */
import { lstatSync } from "node:fs";
import { connect } from "node:net";
import type { DesktopSocket } from "./facts.ts";

export async function probeDesktop(
  environment: Readonly<Record<string, string | undefined>>,
  uid: number,
): Promise<readonly DesktopSocket[]> {
  const runtime = environment.XDG_RUNTIME_DIR ?? `/run/user/${uid}`;
  const { DISPLAY: display, WAYLAND_DISPLAY: wayland, PULSE_SERVER: server } = environment;
  const screen = /^(?:unix)?:(\d+)/.exec(display ?? "")?.[1];
  const pulse = `${runtime}/pulse/native`;
  const sockets: Omit<DesktopSocket, "answers">[] = [
    { name: "x11", variable: display && "DISPLAY", path: screen && `/tmp/.X11-unix/X${screen}` },
    {
      name: "wayland",
      variable: wayland && "WAYLAND_DISPLAY",
      path: wayland && (wayland.startsWith("/") ? wayland : `${runtime}/${wayland}`),
    },
    server
      ? { name: "pulse", variable: "PULSE_SERVER", path: /^(?:unix:)?(\/.*)$/.exec(server)?.[1] }
      : { name: "pulse", variable: isSocket(pulse) ? "XDG_RUNTIME_DIR" : undefined, path: pulse },
  ];
  return Promise.all(
    sockets.map(async (socket) => ({ ...socket, answers: socket.path !== undefined && (await answers(socket.path)) })),
  );
}

function isSocket(path: string): boolean {
  try {
    return lstatSync(path).isSocket();
  } catch {
    return false; // absent, or another user's
  }
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
