/** A launch, independent of the engine. `client/run/plan.ts` makes it; an engine turns it into argv. */

export type Mount =
  | {
      readonly kind: "bind";
      readonly from: string;
      readonly source: "directory" | "file";
      readonly to: string;
      readonly readOnly: boolean;
    }
  /**
   * A file that exists only in the sandbox, with the content of the descriptor. All ids can read it and root can write
   * it (0644): libpulse rejects a cookie on a read-only file system.
   */
  | { readonly kind: "data"; readonly descriptor: number; readonly to: string }
  /** A directory and its missing parents, open to all ids (0755). */
  | { readonly kind: "directory"; readonly to: string }
  | { readonly kind: "tmpfs"; readonly to: string; readonly mode?: number };

/** `none`: a network namespace with only `lo`; `private`: one that a host program connects, `Connection`. */
export const networks = ["none", "host", "private"] as const;
export type Network = (typeof networks)[number];

export interface LaunchSpec {
  /** Host path of the root: the view of a clone, or a directory of the user. */
  readonly root: string;
  /** Whether the root itself is read-only; mounts in it may be writable. */
  readonly readOnly: boolean;
  /** In the order in which they are made, after the root and the engine's /proc and /dev. */
  readonly mounts: readonly Mount[];
  /** The command's whole environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly hostname: string;
  readonly network: Network;
  /** Only for a `private` network. */
  readonly connection: Connection | undefined;
  /** Descriptor of the user namespace to join; `undefined` if the engine makes one that maps only the caller. */
  readonly userns: number | undefined;
  /** Names as in capabilities(7), with `CAP_`. Never ALL: the mounts belong to the same user namespace. */
  readonly capabilities: readonly string[];
  readonly init: Init;
  /** Host path of `isolate-monitor`, which stays outside. */
  readonly monitor: string;
  /** Whether the command runs in a session without a terminal. */
  readonly newSession: boolean;
  readonly command: readonly [string, ...string[]];
}

/** `isolate-network`, which starts the engine: native/network/network.c. */
export interface Connection {
  /** Host path of `isolate-network`. */
  readonly path: string;
  /** The arguments before the engine's command line. */
  readonly argv: readonly string[];
  /** Descriptors that only these arguments name. */
  readonly descriptors: readonly number[];
}

/** The first program inside: it is pid 1, installs the filter, and keeps the lease's descriptor. */
export interface Init {
  /** Host path of `isolate-init`. */
  readonly path: string;
  readonly leaseDescriptor: number | undefined;
  /** Descriptor to keep open as long as the sandbox exists, out of reach of the programs inside. */
  readonly heldDescriptor: number | undefined;
  /** Descriptor from which the monitor's orders are read. */
  readonly monitorDescriptor: number | undefined;
  /** A socket to `isolate-network`; the command starts as soon as the network is ready. */
  readonly networkDescriptor: number | undefined;
  /** Whether to block the host's abstract Unix sockets although its network is shared. */
  readonly noAbstractSockets: boolean;
  readonly filter: Filter;
  /** Descriptor of a compiled filter to install in addition. */
  readonly filterDescriptor: number | undefined;
  readonly noNewUserns: boolean;
  /** Whether the root gets a machine-id(5) if it has none; its /etc is its own. */
  readonly machineId: boolean;
  /** The command's capabilities in a nested user namespace, as a hexadecimal mask; `undefined` for the sandbox's. */
  readonly innerCapabilities: string | undefined;
}

/** The system calls to refuse: see seccomp/make-filter.c. `none` allows all. */
export type Filter = "default" | "tty" | "none";

/** `undefined`: no limit except the host's. */
export interface Limits {
  /** Microseconds of processor time in each 100,000. */
  readonly cpu: number | undefined;
  /** Bytes. */
  readonly memory: number | undefined;
  /** Processes and threads. */
  readonly pids: number | undefined;
}

/** The engine's command line for a spec; the client looks up the program. */
export interface Invocation {
  readonly options: readonly string[];
  /** isolate-init's command line, including the command. */
  readonly inside: readonly string[];
}
