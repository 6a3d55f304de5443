/** What the checks of `isolate doctor` judge. `undefined` stands for what this host does not have, or does not tell. */
import type { Health, Pool } from "../../../protocol/schema.ts";

/** A program that was run to see whether it does. */
export type Trial = { readonly ok: true } | { readonly ok: false; readonly said: string };

export interface Facts {
  readonly caller: {
    readonly uid: number;
    readonly name: string;
    /** Of this process. */
    readonly groups: readonly number[];
    /** As the host's databases have them now, and the next login will. */
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
    /** kernel.unprivileged_userns_clone: Debian's own, gone in newer kernels. */
    readonly unprivileged: boolean | undefined;
    /** kernel.apparmor_restrict_unprivileged_userns: Ubuntu's, since 23.10. */
    readonly appArmorRestricts: boolean;
  };
  /** A bare sandbox, as an ordinary user; undefined without bwrap. */
  readonly sandbox: Trial | undefined;
  /** Actions of seccomp(2) that the kernel has. */
  readonly seccompActions: readonly string[];
  readonly bwrap: { readonly path: string; readonly version: string | undefined; readonly setuid: boolean } | undefined;
  readonly network: {
    /** Abstract Unix sockets can be closed, landlock(7). */
    readonly scopesSockets: boolean;
    /** Of nft, pasta and slirp4netns, those that are there. */
    readonly programs: readonly string[];
    /** This caller may open /dev/net/tun; for root, every user. */
    readonly tun: boolean;
  };
  /** Our own helpers: where each is, or where it was looked for. */
  readonly helpers: readonly {
    readonly name: string;
    readonly path: string | undefined;
    readonly looked: readonly string[];
  }[];
  readonly zfs: {
    /** Of the loaded module. */
    readonly module: string | undefined;
    readonly commands: boolean;
    readonly pools: readonly ZfsPool[] | undefined;
  };
  readonly overlayKnown: boolean;
  /** The file system that the state directory is on, or would be, by its usual place. */
  readonly stateFileSystem: { readonly path: string; readonly type: string } | undefined;
  /** Whose members may lease. */
  readonly group: { readonly name: string; readonly gid: number | undefined };
  readonly subordinate: { readonly uids: readonly number[]; readonly gids: readonly number[] };
  readonly socket: string;
  readonly daemon: Daemon;
  readonly clientVersion: string;
  /** Undefined where systemd does not run. */
  readonly units: readonly Unit[] | undefined;
  readonly desktop: readonly DesktopSocket[];
  /** A whole run; undefined where nothing was left to run it with. */
  readonly run: { readonly template: string; readonly trial: Trial } | undefined;
}

export interface ZfsPool {
  readonly name: string;
  readonly health: string;
  /** Percent. */
  readonly capacity: number;
}

export type Daemon =
  | { readonly answers: true; readonly health: Health; readonly pools: readonly Pool[] }
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
  /** The variable that tells where it is, as it is set. */
  readonly variable: string | undefined;
  readonly path: string | undefined;
  readonly answers: boolean;
}
