/**
 * Becomes isolate-monitor, which stays as the process that the caller started. Nothing else of the client stays: the
 * monitor's child is the engine, in which the lease is a descriptor.
 */
import { IsolateError } from "../../protocol/errors.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";
import type { Environment } from "./options/options.ts";

const SIGINT = 2;
const SIGPIPE = 13;
const SIGXFSZ = 25;

export interface Launch {
  readonly program: string;
  readonly argv: readonly string[];
  /** Undefined: an engine, which needs nothing of the caller's. */
  readonly environment: Environment | undefined;
  /** The caller's keys stay behind. */
  readonly newKeyring: boolean;
  /** They stay open; all others above 2 are closed. */
  readonly descriptors: readonly number[];
  readonly ignoreInterrupt: boolean;
  /** The soft limit to leave behind. */
  readonly descriptorLimit: number;
}

/** Undoes what a runtime changed in this process, then execve(2). Throws `system-call`. */
export function launch(wanted: Launch, libc: Libc): never {
  const { program, argv, environment, newKeyring, descriptors, ignoreInterrupt, descriptorLimit } = wanted;
  try {
    if (newKeyring) libc.joinNewSessionKeyring();
    // The large runtimes raise the soft limit to the hard one, and select(2) in old programs breaks above 1024.
    libc.setSoftDescriptorLimit(descriptorLimit);
    libc.keepOnly(descriptors);
    // Ignored by those; ignored signals stay so across exec, and `yes | head -1` would complain.
    libc.defaultSignal(SIGPIPE);
    libc.defaultSignal(SIGXFSZ);
    if (ignoreInterrupt) libc.ignoreSignal(SIGINT);
    return libc.execute(program, argv, environment ? environmentList(environment) : []);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw new IsolateError("system-call", { call: error.call, cause: error.errno }, error);
  }
}

/** As execve(2) takes it. */
export function environmentList(environment: Environment): string[] {
  return Object.entries(environment).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
}
