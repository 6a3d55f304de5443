/**
 * The interface of a storage. The vocabulary follows zfs(8): a *template* is a root filesystem that somebody maintains;
 * a *snapshot* is its content at one moment; a *clone* is a writable copy of a snapshot that costs nothing until it is
 * written to; a *view* is a clone's mount for one lessee, with mapped ids.
 *
 * Every driver passes `test/contract/storage.test.ts`. Errors are `IsolateError`s: `unknown-template`, `no-snapshot`,
 * `template-exists`, `template-foreign`, `storage-full`, `storage-failed`, `clone-busy`, `clone-blocked`, `clone-gone`,
 * `bad-tar`.
 */
import type { Readable } from "node:stream";
import type { IsolateError } from "../../protocol/errors.ts";
import type { CloneId, SnapshotName, TemplateName } from "../../protocol/names.ts";

/** The id map of a view. `userns` is an open descriptor of the user namespace that defines it. */
export interface IdMap {
  readonly userns: number;
  /** The host ids of container id 0. */
  readonly uid: number;
  readonly gid: number;
}

export function isSameMap(one: IdMap, other: IdMap): boolean {
  return one.userns === other.userns && one.uid === other.uid && one.gid === other.gid;
}

export interface TemplateInfo {
  readonly template: TemplateName;
  /** The result of `latest`; null without a snapshot. */
  readonly snapshot: SnapshotName | null;
  /** When that snapshot was made, in milliseconds since 1970. */
  readonly created: number | null;
  readonly bytes: number | null;
  /** What is below it in the storage and is not in its clones. */
  readonly below: readonly string[];
  /** Why nothing is known of it, where its storage does not answer. */
  readonly failure?: IsolateError;
}

export interface CloneInfo {
  readonly id: CloneId;
  readonly template: TemplateName;
  readonly snapshot: SnapshotName;
}

/** Bytes in use. Templates and clones that were not counted are missing. */
export interface Usage {
  /** Bytes of each template and its snapshots. */
  readonly templates: ReadonlyMap<TemplateName, number>;
  /** Bytes that belong to each clone alone. */
  readonly clones: ReadonlyMap<CloneId, number>;
}

/** Room for writing, in bytes. */
export interface Space {
  /** The name of the place, for listings. */
  readonly place: string;
  readonly free: number;
  readonly total: number;
}

/** Told of each place that did not answer, and why: what is not found may be there. */
export type Unseen = (place: string, error: IsolateError) => void;

/** Root filesystems that somebody maintains, and their snapshots. */
export interface Templates {
  /** Of the given names those that exist, and with no names all that this driver knows to be templates by itself. */
  templates(names?: readonly TemplateName[], unseen?: Unseen): Promise<readonly TemplateInfo[]>;
  /** Everything that could be made a template and whose name has that last component. Where names have one alone: absent. */
  endingIn?(last: string): Promise<readonly string[]>;
  /** Why what has that name in this storage can be no template; undefined where nothing has it. */
  whyUnfit?(name: string): Promise<string | undefined>;
  /**
   * Makes a template from a tar archive, with its ids and extended attributes, and the first snapshot. A failure or an
   * early end of the stream leaves nothing behind.
   */
  createTemplate(name: TemplateName, tar: Readable): Promise<SnapshotName>;
  /** Removes a template that this driver made, with its snapshots. The caller must have destroyed its clones. */
  removeTemplate(name: TemplateName): Promise<void>;
  /**
   * Returns the newest snapshot with changes whose name matches `pattern` (a glob of `*` and `?`). Throws
   * `no-snapshot`.
   */
  latest(template: TemplateName, pattern?: string): Promise<SnapshotName>;
  /** Snapshots the template's current state. */
  snapshot(template: TemplateName): Promise<SnapshotName>;
  /** Calls `changed` when a template may have a new snapshot. Returns a function that stops it. */
  watch(templates: () => readonly TemplateName[], changed: (template: TemplateName) => void): () => void;
}

/** Writable copies of snapshots. */
export interface Clones {
  /** Makes and marks a clone. No path leads to it yet. */
  clone(from: SnapshotName, id: CloneId): Promise<CloneInfo>;
  /**
   * Destroys a clone; already absent is success. Throws `clone-busy` while any process still uses it and `clone-blocked`
   * while something stands in the way that somebody else made of it. Never touches anything that does not carry this
   * daemon's mark, except a marked clone's own snapshots.
   */
  destroy(id: CloneId): Promise<void>;
  /** Every clone that carries this daemon's mark, known to the caller or not. */
  list(unseen?: Unseen): Promise<readonly CloneInfo[]>;
}

/** Mounts for one lessee: of a clone, or of a template that is being edited. */
export interface Views {
  /**
   * Does in advance the work of a `view` with the same map, to make the lease faster. A `view` with another map undoes
   * it. Synchronous, once for each clone, before its view; nothing appears at any path.
   */
  prepare(id: CloneId, to: IdMap): void;
  /**
   * Mounts the clone at the existing empty directory `at`, `nosuid,nodev`, with its ids mapped. A lease waits for it,
   * so it is synchronous work of under a millisecond if the storage allows.
   */
  view(id: CloneId, to: IdMap, at: string): Promise<void>;
  /** Unmounts the view from `at`, even if it is in use; succeeds if it is already absent. The directory stays. */
  unview(id: CloneId, at: string): Promise<void>;
  /**
   * Mounts the template's own state, writable, at the existing empty directory `at`, with its ids mapped as in a view.
   * The next snapshot will contain the changes. A storage may refuse a snapshot while it is mounted.
   */
  edit(template: TemplateName, to: IdMap, at: string): Promise<void>;
  /** Unmounts it; succeeds if it is already absent. The directory stays. */
  unedit(template: TemplateName, at: string): Promise<void>;
}

/** Bytes in use and bytes free. */
export interface Accounting {
  /**
   * Counts the bytes of all clones and of these templates. May take seconds: for the background only, and never two at
   * a time.
   */
  usage(templates: readonly TemplateName[]): Promise<Usage>;
  /** Returns the space in the places where clones of these templates are written. */
  space(templates: readonly TemplateName[]): Promise<readonly Space[]>;
}

export interface StorageDriver extends Templates, Clones, Views, Accounting {
  /** `zfs` or `overlay`, for listings. */
  readonly name: string;
  /** Throws `unsupported-host` with the fix if this driver cannot work on this host. */
  check(): Promise<void>;
  /** Removes what only a running daemon needs. Synchronous, and safe at any time. */
  close(): void;
}
