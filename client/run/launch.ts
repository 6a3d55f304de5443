/**
 * Becomes isolate-monitor, which stays as the process that the caller started. Nothing else of the client stays. The
 * monitor's child is the engine, which holds the lease as a descriptor.
 */
import { IsolateError } from "../../protocol/errors.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";
import type { Environment } from "./options/requests.ts";

const SIGINT = 2;
const SIGPIPE = 13;
const SIGXFSZ = 25;

export interface Launch {
  readonly program: string;
  readonly argv: readonly string[];
  /** `undefined` for an engine: it gets an empty environment. */
  readonly environment: Environment | undefined;
  /** Joins a new session keyring, so that the program does not have the caller's keys. */
  readonly newKeyring: boolean;
  /** The descriptors to keep open; all others above 2 are closed. */
  readonly descriptors: readonly number[];
  readonly ignoreInterrupt: boolean;
  /** The soft descriptor limit to set. */
  readonly descriptorLimit: number;
}

/** Undoes the runtime's changes to this process, then calls execve(2). Throws `system-call`. */
export function launch(wanted: Launch, libc: Libc): never {
  const { program, argv, environment, newKeyring, descriptors, ignoreInterrupt, descriptorLimit } = wanted;
  try {
    if (newKeyring) libc.joinNewSessionKeyring();
    // The large runtimes raise the soft limit to the hard limit, and select(2) in old programs breaks above 1024.
    libc.setSoftDescriptorLimit(descriptorLimit);
    libc.keepOnly(descriptors);
    // The large runtimes ignore these signals. They would stay ignored across exec, and `yes | head -1` would complain.
    libc.defaultSignal(SIGPIPE);
    libc.defaultSignal(SIGXFSZ);
    if (ignoreInterrupt) libc.ignoreSignal(SIGINT);
    return libc.execute(program, argv, environment ? environmentList(environment) : []);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw new IsolateError("system-call", { call: error.call, cause: error.errno }, error);
  }
}

/** Returns the environment in the form that execve(2) takes. */
export function environmentList(environment: Environment): string[] {
  return Object.entries(environment).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
}
