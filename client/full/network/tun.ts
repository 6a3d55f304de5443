/** The device with which a user-mode program carries packets. */
import { accessSync, constants, statSync } from "node:fs";

const device = "/dev/net/tun";
const forOthers = 0o006;

/** Whether that program may open it: it runs as the caller, or as another user if the caller is root. */
export function mayOpenTun(uid: number): boolean {
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return uid !== 0 || (statSync(device).mode & forOthers) === forOthers;
  } catch {
    return false;
  }
}
