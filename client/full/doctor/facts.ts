/** The facts that `isolate doctor` judges. `undefined` if the host does not have the thing, or does not tell. */
import type { Health, Pool, Template } from "../../../protocol/schema.ts";

/** The outcome of a program that was run to see whether it works. */
export type Trial = { readonly ok: true } | { readonly ok: false; readonly said: string };

export interface Facts {
  readonly caller: {
    readonly uid: number;
    readonly name: string;
    /** The groups of this process. */
    readonly groups: readonly number[];
    /** The groups in the host's databases, which the next login will have. */
    readonly groupsAtLogin: readonly number[];
  };
  /** `ID` and `ID_LIKE` of os-release(5). */
  readonly distribution: readonly string[];
  /** uname(2)'s release. */
  readonly kernel: string;
  readonly inContainer: boolean;
  readonly userNamespaces: {
    /** user.max_user_namespaces. */
    readonly most: number | undefined;
    /** kernel.unprivileged_userns_clone: Debian only, removed in newer kernels. */
    readonly unprivileged: boolean | undefined;
    /** kernel.apparmor_restrict_unprivileged_userns: Ubuntu only, since 23.10. */
    readonly appArmorRestricts: boolean;
  };
  /** The trial of a bare sandbox as an ordinary user; `undefined` without bwrap. */
  readonly sandbox: Trial | undefined;
  /** The seccomp(2) actions that the kernel supports. */
  readonly seccompActions: readonly string[];
  readonly bwrap: { readonly path: string; readonly version: string | undefined; readonly setuid: boolean } | undefined;
  readonly network: {
    /** Whether the kernel can block abstract Unix sockets, landlock(7). */
    readonly scopesSockets: boolean;
    /** The installed programs among nft, pasta and slirp4netns. */
    readonly programs: readonly string[];
    /** Whether this caller may open /dev/net/tun; for root, whether every user may. */
    readonly tun: boolean;
    readonly defaultRoute: boolean;
  };
  /** isolate's own helpers: the path of each, and the places searched. */
  readonly helpers: readonly {
    readonly name: string;
    readonly path: string | undefined;
    readonly looked: readonly string[];
  }[];
  readonly zfs: {
    /** The version of the loaded module. */
    readonly module: string | undefined;
    readonly commands: boolean;
    readonly pools: readonly ZfsPool[] | undefined;
  };
  readonly overlayKnown: boolean;
  /** The file system that holds, or would hold, the state directory at its default path. */
  readonly stateFileSystem: { readonly path: string; readonly type: string } | undefined;
  /** The group whose members may lease. */
  readonly group: { readonly name: string; readonly gid: number | undefined };
  readonly subordinate: { readonly uids: readonly number[]; readonly gids: readonly number[] };
  readonly socket: string;
  readonly daemon: Daemon;
  readonly clientVersion: string;
  /** `undefined` if systemd does not run. */
  readonly units: readonly Unit[] | undefined;
  readonly desktop: readonly DesktopSocket[];
  /** The trial of a complete run; `undefined` without a daemon or a template to run it with. */
  readonly run: { readonly template: string; readonly trial: Trial } | undefined;
}

export interface ZfsPool {
  readonly name: string;
  readonly health: string;
  /** Percent. */
  readonly capacity: number;
}

export type Daemon =
  | {
      readonly answers: true;
      readonly health: Health;
      readonly pools: readonly Pool[];
      readonly templates: readonly Template[];
    }
  | { readonly answers: false; readonly code: string; readonly message: string; readonly hint: string };

export interface Unit {
  readonly name: string;
  /** `loaded`, `not-found`, `masked`, ... */
  readonly load: string;
  /** `active`, `failed`, ... */
  readonly active: string;
  /** `enabled`, `disabled`, ... */
  readonly file: string;
  readonly needsReload: boolean;
}

export interface DesktopSocket {
  readonly name: "x11" | "wayland" | "pulse";
  /** The name of the variable that locates it, if set. */
  readonly variable: string | undefined;
  readonly path: string | undefined;
  readonly answers: boolean;
}
