/** Which of the sound servers that there may be is there. */
import { statSync } from "node:fs";
import type { SoundServer } from "./sound-server.ts";

/** One that is reached over the network is taken as it is named. */
export function findSoundServer(servers: readonly SoundServer[]): SoundServer | undefined {
  return servers.find((server) => server.kind === "network" || isSocket(server.path));
}

function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch {
    return false; // absent, or out of reach
  }
}
