/** What is to be started, before any engine's words for it. Made by `client/run/plan.ts`, turned into argv by an engine. */

export type Mount =
  | {
      readonly kind: "bind";
      readonly from: string;
      readonly source: "directory" | "file";
      readonly to: string;
      readonly readOnly: boolean;
    }
  /**
   * A file of the sandbox's own that is nowhere on the host: what can be read from the descriptor. All ids can read it,
   * and root can write it (0644): libpulse gives up on a cookie that it finds on a read-only file system.
   */
  | { readonly kind: "data"; readonly descriptor: number; readonly to: string }
  /** A directory and the missing ones above it, open to all ids (0755). */
  | { readonly kind: "directory"; readonly to: string }
  | { readonly kind: "tmpfs"; readonly to: string; readonly mode?: number };

/** `none`: a network namespace with only `lo`; `private`: one that a program of the host's connects, `Connection`. */
export const networks = ["none", "host", "private"] as const;
export type Network = (typeof networks)[number];

export interface LaunchSpec {
  /** Host path of the root: the view of a clone, or a directory of the user's. */
  readonly root: string;
  /** Nothing of the root itself can be written; what is mounted in it may be. */
  readonly readOnly: boolean;
  /** In the order in which they are made, after the root and the engine's own /proc and /dev. */
  readonly mounts: readonly Mount[];
  /** The whole environment of the command. */
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly hostname: string;
  readonly network: Network;
  /** Of a `private` network. */
  readonly connection: Connection | undefined;
  /** Descriptor of the user namespace to join; undefined: the engine makes one that maps the caller alone. */
  readonly userns: number | undefined;
  /** Names as in capabilities(7), with `CAP_`. Never ALL: what is mounted belongs to the same user namespace. */
  readonly capabilities: readonly string[];
  readonly init: Init;
  /** Host path of `isolate-monitor`, which stays outside. */
  readonly monitor: string;
  /** The command is in a session that has no terminal. */
  readonly newSession: boolean;
  readonly command: readonly [string, ...string[]];
}

/** `isolate-network`, which stands in front of the engine: native/network/network.c. */
export interface Connection {
  /** Host path of `isolate-network`. */
  readonly path: string;
  /** What comes before the engine's own command line. */
  readonly argv: readonly string[];
  /** What that tells of, and `isolate-init` does not. */
  readonly descriptors: readonly number[];
}

/** The first program inside: pid 1, the filter, and the keeper of the lease's descriptor. */
export interface Init {
  /** Host path of `isolate-init`. */
  readonly path: string;
  readonly leaseDescriptor: number | undefined;
  /** Kept open as long as the sandbox is there, out of reach of what runs in it. */
  readonly heldDescriptor: number | undefined;
  /** From which the monitor's orders are read. */
  readonly monitorDescriptor: number | undefined;
  /** A socket of `isolate-network`'s; the command starts once the network is there. */
  readonly networkDescriptor: number | undefined;
  /** Abstract Unix sockets of the host's are out of reach, though its network is shared. */
  readonly noAbstractSockets: boolean;
  readonly filter: Filter;
  /** A compiled filter on top of that one, to be read from there. */
  readonly filterDescriptor: number | undefined;
  readonly noNewUserns: boolean;
  /** The root gets an id where it has none, machine-id(5), in an /etc of its own. */
  readonly machineId: boolean;
  /** Of the command, as a hexadecimal mask, in a user namespace below; undefined: it has the sandbox's. */
  readonly innerCapabilities: string | undefined;
}

/** Which system calls are refused: see seccomp/make-filter.c. `none`: all are let through. */
export type Filter = "default" | "tty" | "none";

/** Undefined: no limit but the host's own. */
export interface Limits {
  /** Microseconds of processor time in each 100,000. */
  readonly cpu: number | undefined;
  /** Bytes. */
  readonly memory: number | undefined;
  /** Processes and threads. */
  readonly pids: number | undefined;
}

/** What becomes of a spec, in the engine's words; its program is looked up by the client. */
export interface Invocation {
  readonly options: readonly string[];
  /** isolate-init's line, up to the command's last word. */
  readonly inside: readonly string[];
}
