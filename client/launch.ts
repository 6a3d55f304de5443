/**
 * Becomes the engine. Nothing of the client stays: the process that the caller started is bwrap afterwards, and the
 * lease is its descriptor.
 * A post hook, `-i` and the lxc engine will need a process that stays; they get a `spawn` of their own here.
 */
import { IsolateError } from "../daemon/protocol/errors.ts";
import type { Libc } from "./libc.ts";
import { SystemCallError } from "./libc-call.ts";

const SIGINT = 2;
const SIGQUIT = 3;
const SIGPIPE = 13;
const SIGCHLD = 17;
const SIGXFSZ = 25;

export interface Launch {
  readonly program: string;
  readonly argv: readonly string[];
  /** Open in the engine; all others above 2 are closed. */
  readonly descriptors: readonly number[];
  readonly foreground: boolean;
  /** The soft limit to leave behind. */
  readonly descriptorLimit: number;
}

/** Undoes what the runtime changed in this process, then execve(2). Throws `system-call` and `missing-program`. */
export function launch({ program, argv, descriptors, foreground, descriptorLimit }: Launch, libc: Libc): never {
  try {
    libc.joinNewSessionKeyring();
    // Bun and Node raise the soft limit to the hard one, and select(2) in old programs breaks above 1024.
    libc.setSoftDescriptorLimit(descriptorLimit);
    libc.keepOnly(descriptors);
    // Ignored by the runtime; ignored signals stay so across exec, and `yes | head -1` would complain.
    libc.defaultSignal(SIGPIPE);
    libc.defaultSignal(SIGXFSZ);
    // bwrap waits for its child by SIGCHLD, and hangs where the caller ignored it.
    libc.defaultSignal(SIGCHLD);
    if (foreground) {
      // Ctrl-C reaches the whole foreground group: it is for the command, which isolate-init gives the defaults back.
      libc.ignoreSignal(SIGINT);
      libc.ignoreSignal(SIGQUIT);
    }
    // The engine needs nothing of the caller's environment.
    return libc.execute(program, argv, []);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw new IsolateError(
      "system-call",
      { call: error.call === "execve" ? `execve ${program}` : error.call, cause: error.errno },
      error,
    );
  }
}
