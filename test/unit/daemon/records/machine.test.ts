import { expect, test } from "@jest/globals";
import { type CloneEvent, type CloneState, next } from "../../../../daemon/records/machine.ts";

const states: CloneState[] = ["creating", "ready", "leased", "retired", "gone"];
const events: CloneEvent[] = ["created", "lease", "release", "reclaim", "destroyed"];

test("a clone goes through every state from creation to end", () => {
  const life: CloneEvent[] = ["created", "lease", "release", "destroyed"];
  expect(life.reduce<CloneState>((state, event) => next(state, event) ?? "creating", "creating")).toBe("gone");
});

test("a clone is never leased twice and never recycled", () => {
  const leads = (to: CloneState) =>
    states.flatMap((state) => events.filter((event) => next(state, event) === to).map((event) => `${state} ${event}`));
  expect(leads("leased")).toEqual(["ready lease"]);
  expect(leads("ready")).toEqual(["creating created"]);
});

test("a leased clone is neither reclaimed nor destroyed; only its release frees it", () => {
  expect(events.filter((event) => next("leased", event))).toEqual(["release"]);
});

test("only a retired clone is destroyed", () => {
  expect(states.filter((state) => next(state, "destroyed"))).toEqual(["retired"]);
});
