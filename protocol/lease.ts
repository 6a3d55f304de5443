/**
 * The one exchange that is not a plain HTTP request: `GET /v1/lease` with `Upgrade: isolate-lease`.
 * The daemon answers with any number of `102 Processing` with a `Reason` header while the caller waits, then with `101`
 * and one line of JSON (a `Grant`), or with an ordinary HTTP error and an `ErrorBody`. After the 101 the connection is
 * the lease: the first byte that the lessee sends, or the connection's end, ends it.
 */
export const leasePath = "/v1/lease";
/** The same exchange for root, who gets the template's own state instead of a clone: changes to it are kept. */
export const editPath = "/v1/edit";
export const leaseUpgrade = "isolate-lease";
export const reasonHeader = "Reason";

export interface Grant {
  /** Names the lease and its clone. */
  readonly lease: string;
  readonly template: string;
  readonly snapshot: string;
  /** The directory where the lessee, and nobody else, finds the clone's root filesystem. */
  readonly view: string;
  /** A file that pins the lessee's user namespace, user_namespaces(7), for as long as the lease lasts. */
  readonly userns: string;
  /** The host ids of container id 0: the caller's own, unless the caller is root. Never 0. */
  readonly uid: number;
  readonly gid: number;
  /** The daemon may have stopped before the lease ends: the lessee then connects once more, which starts it. */
  readonly onDemand: boolean;
}
