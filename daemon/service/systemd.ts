/** What the service manager says to the daemon and is told by it: sd_listen_fds(3), sd_watchdog_enabled(3), sd_notify(3). */
import systemd from "sd-notify";
import { listeningPath } from "../linux/peers.ts";

export interface ServiceManager {
  /** The listening socket that it handed over. */
  readonly socket: { readonly fd: number; readonly path: string | undefined } | undefined;
  /** Milliseconds within which it wants each sign of life; undefined where it wants none. */
  readonly watchdog: number | undefined;
  /** Assignments as in sd_notify(3), such as `READY=1`; all are one message. Nobody there to be told is no error. */
  notify(...assignments: readonly string[]): void;
}

/** Of a listening socket handed over, the first descriptor. */
const firstDescriptor = 3;

export function createServiceManager(environment: Readonly<Record<string, string | undefined>>): ServiceManager {
  const { LISTEN_PID, LISTEN_FDS, WATCHDOG_PID, WATCHDOG_USEC } = environment;
  const isMine = (pid: string | undefined): boolean => pid === String(process.pid);
  const activated = isMine(LISTEN_PID) && LISTEN_FDS === "1";
  const watched = (WATCHDOG_PID === undefined || isMine(WATCHDOG_PID)) && /^[1-9][0-9]*$/.test(WATCHDOG_USEC ?? "");
  return {
    socket: activated ? { fd: firstDescriptor, path: listeningPath(firstDescriptor) } : undefined,
    watchdog: watched ? Number(WATCHDOG_USEC) / 1000 : undefined,
    notify: (...assignments) => systemd.sendState(assignments.join("\n")),
  };
}

/** CLOCK_MONOTONIC, as `RELOADING=1` has to be told with. */
export function monotonicMicroseconds(): bigint {
  return process.hrtime.bigint() / 1000n;
}
