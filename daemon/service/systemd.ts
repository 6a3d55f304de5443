/** The interface to the service manager: sd_listen_fds(3), sd_watchdog_enabled(3), sd_notify(3). */
import systemd from "sd-notify";
import { listeningPath } from "../linux/peers.ts";

export interface ServiceManager {
  /** The listening socket that it passed. */
  readonly socket: { readonly fd: number; readonly path: string | undefined } | undefined;
  /** The longest time between two watchdog messages in milliseconds; `undefined` if it expects none. */
  readonly watchdog: number | undefined;
  /** Sends assignments such as `READY=1` in one message, sd_notify(3). Does nothing without a service manager. */
  notify(...assignments: readonly string[]): void;
}

/** SD_LISTEN_FDS_START: the descriptor of a passed socket. */
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

/** CLOCK_MONOTONIC, which `RELOADING=1` requires. */
export function monotonicMicroseconds(): bigint {
  return process.hrtime.bigint() / 1000n;
}
