/** Finds the first candidate sound server that exists. */
import { statSync } from "node:fs";
import type { SoundServer } from "./sound-server.ts";

/** A server on the network is not probed: its name is used as it is. */
export function findSoundServer(servers: readonly SoundServer[]): SoundServer | undefined {
  return servers.find((server) => server.kind === "network" || isSocket(server.path));
}

function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch {
    return false; // absent or unreachable
  }
}
