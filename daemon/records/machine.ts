/** The life of a clone: one pure function from a state and an event to the next state. */

export type CloneState = "creating" | "ready" | "leased" | "retired" | "gone";

export type CloneEvent =
  /** The storage has made it. */
  | "created"
  /** It was leased. */
  | "lease"
  /** The lessee released it, or has ended. */
  | "release"
  /** Nobody holds it and the pool does not need it: making it failed, or it is stale or in excess. */
  | "reclaim"
  /** The storage has destroyed it. */
  | "destroyed";

const transitions: Readonly<Record<CloneState, Partial<Record<CloneEvent, CloneState>>>> = {
  creating: { created: "ready", reclaim: "retired" },
  ready: { lease: "leased", reclaim: "retired" },
  leased: { release: "retired" },
  retired: { destroyed: "gone" },
  gone: {},
};

/**
 * Returns the next state; `undefined` if the event is refused. A leased clone is never reclaimed, a used one never
 * ready.
 */
export function next(state: CloneState, event: CloneEvent): CloneState | undefined {
  return transitions[state][event];
}
