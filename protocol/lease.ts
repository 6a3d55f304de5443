/**
 * The one exchange that is not a plain HTTP request: `GET /v1/lease` with `Upgrade: isolate-lease`.
 * Answers: any number of `102 Processing` with a `Reason` header while the caller waits, then `101` and one line of
 * JSON (a `Grant`), or an ordinary HTTP error with an `ErrorBody`. After the 101 the connection is the lease: the first
 * byte that the lessee sends, or the connection's end, gives it up.
 */
export const leasePath = "/v1/lease";
/** The same exchange for root, who gets the template's own state instead of a clone: what is written there stays. */
export const editPath = "/v1/edit";
export const leaseUpgrade = "isolate-lease";
export const reasonHeader = "Reason";

export interface Grant {
  /** Names the lease and its clone. */
  readonly lease: string;
  readonly template: string;
  readonly snapshot: string;
  /** Where the lessee, and nobody else, finds the clone's root. */
  readonly view: string;
  /** A file that is the lessee's user namespace, user_namespaces(7), for as long as the lease lasts. */
  readonly userns: string;
  /** The host ids that are container 0. They are the caller's own, unless the caller is root: never 0. */
  readonly uid: number;
  readonly gid: number;
  /** The daemon may have been stopped when the lease ends: the lessee connects once more then, which starts it. */
  readonly onDemand: boolean;
}
