/** The requests that a command line can make. */
import type { EngineName } from "../../../engines/features.ts";
import type { Hooks } from "../../../engines/monitor.ts";
import type { Limits, Network } from "../../../engines/spec.ts";
import type { BootRequest } from "./limits.ts";
import type { CapabilityChanges } from "./privileges.ts";
import type { Role } from "./role.ts";
import type { CommandName } from "./verbs.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Common {
  readonly socket: string;
  readonly verbosity: "quiet" | "normal" | "trace";
}

export interface Bind {
  readonly from: string;
  readonly to: string;
  readonly readOnly: boolean;
  /** As it was written. */
  readonly text: string;
}

/** `file`: the default filter and a compiled filter in addition. */
export type Seccomp = { readonly kind: "default" | "tty" | "none" } | { readonly kind: "file"; readonly path: string };

export type Screen = "trusted" | "untrusted";

export interface RunRequest {
  /** `edit`: the template itself instead of a clone. */
  readonly root: { readonly template: string; readonly edit: boolean } | { readonly directory: string };
  readonly engine: EngineName;
  readonly binds: readonly Bind[];
  readonly variables: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly network: Network;
  /** Whether the host's abstract Unix sockets are reachable too; only with the host's network. */
  readonly abstractSockets: boolean;
  /** Shows the caller's X display; `untrusted`: the X server separates the command from other clients. */
  readonly screen: Screen | undefined;
  readonly sound: boolean;
  readonly seccomp: Seccomp;
  readonly noNewUserns: boolean;
  readonly readOnly: boolean;
  /** The host ids that root chose, as written; `undefined` if the daemon chooses. */
  readonly ids: { readonly uid: string | undefined; readonly gid: string | undefined } | undefined;
  /** `undefined` for the usual capabilities. */
  readonly capabilities: CapabilityChanges | undefined;
  /** Ignores SIGINT, also in the command until it changes that. */
  readonly ignoreInterrupt: boolean;
  readonly newSession: boolean;
  /** `undefined` if there are none. */
  readonly hooks: Hooks | undefined;
  readonly role: Role;
  readonly limits: Limits;
  /** Only for an engine that boots a container. */
  readonly boot: BootRequest | undefined;
  /** Seconds; `undefined` for the daemon's default. */
  readonly wait: string | undefined;
  readonly command: readonly [string, ...string[]];
}

export interface RefillRequest {
  readonly template: string;
  /** Validated by the daemon. The default is the pool's current size, or the configured one. */
  readonly size?: string;
  readonly fresh: boolean;
  readonly reclaimOnly: boolean;
  /** Set if `template` is a unit's instance name. */
  readonly instance?: true;
}

export type TemplateSource =
  | { readonly kind: "directory" | "tar"; readonly path: string }
  | { readonly kind: "debian"; readonly suite: string };

export interface CommandRequest {
  readonly name: CommandName;
  readonly json: boolean;
  readonly operand: string;
  /** The values of the other options, by long name. */
  readonly values: Readonly<Record<string, string>>;
  readonly source: TemplateSource | undefined;
}

export type Intent = Common &
  (
    | { readonly kind: "version" | "nothing" }
    /** The words of a verb or of a topic; none: all in short. */
    | { readonly kind: "help"; readonly topic: readonly string[] }
    | { readonly kind: "run"; readonly run: RunRequest }
    | { readonly kind: "refill"; readonly refill: RefillRequest }
    | { readonly kind: "command"; readonly command: CommandRequest }
  );
