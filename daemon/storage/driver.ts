/**
 * What a storage gives to the daemon. Vocabulary, after zfs(8): a *template* is a root file system somebody maintains;
 * a *snapshot* is its content at a moment; a *clone* is a writable copy of a snapshot that costs nothing until it is
 * written to; a *view* is a clone's mount for one lessee, with ids mapped.
 *
 * Every driver passes `test/contract/storage.test.ts`. Errors are `IsolateError`s: `unknown-template`, `no-snapshot`,
 * `template-exists`, `template-foreign`, `storage-full`, `storage-failed`, `clone-busy`, `clone-blocked`, `clone-gone`,
 * `bad-tar`.
 */
import type { Readable } from "node:stream";
import type { IsolateError } from "../../protocol/errors.ts";
import type { CloneId, SnapshotName, TemplateName } from "../../protocol/names.ts";

/** Whom a view is for. `userns` is an open descriptor of the user namespace whose map the view's ids go through. */
export interface IdMap {
  readonly userns: number;
  /** Host ids of container 0. */
  readonly uid: number;
  readonly gid: number;
}

export function isSameMap(one: IdMap, other: IdMap): boolean {
  return one.userns === other.userns && one.uid === other.uid && one.gid === other.gid;
}

export interface TemplateInfo {
  readonly template: TemplateName;
  /** What `latest` would say; null without a snapshot. */
  readonly snapshot: SnapshotName | null;
  /** Of that snapshot, milliseconds since 1970. */
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

/** Bytes in use. What was not counted is missing. */
export interface Usage {
  /** Of a template and its snapshots. */
  readonly templates: ReadonlyMap<TemplateName, number>;
  /** Of what each clone alone has. */
  readonly clones: ReadonlyMap<CloneId, number>;
}

/** Room for writing, in bytes. */
export interface Space {
  /** What is meant, for listings. */
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
   * Makes a template of a tar archive (ids and extended attributes as in it) and its first snapshot. A failure or an
   * early end of the stream leaves nothing behind.
   */
  createTemplate(name: TemplateName, tar: Readable): Promise<SnapshotName>;
  /** Removes a template that this driver made, with its snapshots. The caller has destroyed its clones. */
  removeTemplate(name: TemplateName): Promise<void>;
  /** The newest snapshot that changed something and whose name fits `pattern` (a glob of `*` and `?`). Throws `no-snapshot`. */
  latest(template: TemplateName, pattern?: string): Promise<SnapshotName>;
  /** Freezes the template as it is now. */
  snapshot(template: TemplateName): Promise<SnapshotName>;
  /** Calls back when a template may have a new snapshot. Returns the way to stop. */
  watch(templates: () => readonly TemplateName[], changed: (template: TemplateName) => void): () => void;
}

/** Writable copies of snapshots. */
export interface Clones {
  /** Makes and marks a clone. It is mounted nowhere that a path reaches. */
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
   * Does ahead what a `view` with the same map will need, so that it is not on the way of a lease. A `view` with another
   * map undoes it. Synchronous, once for each clone, before its view; nothing appears at any path.
   */
  prepare(id: CloneId, to: IdMap): void;
  /**
   * Mounts the clone at the existing empty directory `at`, `nosuid,nodev`, with its ids mapped. Synchronous work of
   * under a millisecond where the storage allows: it is on the way of a lease.
   */
  view(id: CloneId, to: IdMap, at: string): Promise<void>;
  /** Takes the view away from `at`, whoever still uses it; already absent is success. The directory stays. */
  unview(id: CloneId, at: string): Promise<void>;
  /**
   * Mounts what the next snapshot will freeze, writable, at the existing empty directory `at`, with its ids mapped as a
   * view's are. A storage may refuse a snapshot for as long as it is mounted.
   */
  edit(template: TemplateName, to: IdMap, at: string): Promise<void>;
  /** Takes that mount away; already absent is success. The directory stays. */
  unedit(template: TemplateName, at: string): Promise<void>;
}

/** Bytes in use and bytes free. */
export interface Accounting {
  /**
   * Counts the bytes of all clones and of these templates. Takes seconds where there is much to count: for the
   * background only, and never twice at once.
   */
  usage(templates: readonly TemplateName[]): Promise<Usage>;
  /** Where clones of these templates are written. */
  space(templates: readonly TemplateName[]): Promise<readonly Space[]>;
}

export interface StorageDriver extends Templates, Clones, Views, Accounting {
  /** `zfs` or `overlay`, for listings. */
  readonly name: string;
  /** Throws `unsupported-host` with the fix where this host cannot serve clones by this driver. */
  check(): Promise<void>;
  /** Takes away what only a running daemon needs. Synchronous, and safe at any time. */
  close(): void;
}
