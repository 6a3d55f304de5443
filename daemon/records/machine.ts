/** The life of a clone: one pure function from a state and an event to the next state. */

export type CloneState = "creating" | "ready" | "leased" | "retired" | "gone";

export type CloneEvent =
  /** The storage has made it. */
  | "created"
  /** It was given to a lessee. */
  | "lease"
  /** The lessee gave up its claim, or is no more. */
  | "release"
  /** Nobody holds it and it is not wanted: making it failed, or it is stale or one too many. */
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

/** The state after `event`, or undefined where the event is refused: a leased clone is never reclaimed, a used one never ready. */
export function next(state: CloneState, event: CloneEvent): CloneState | undefined {
  return transitions[state][event];
}
