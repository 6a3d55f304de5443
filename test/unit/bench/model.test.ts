import { expect, test } from "@jest/globals";
import { markdown, median, quantile, reached } from "../../bench/figures.ts";
import { fitLine, onLine, runTime, throughput } from "../../bench/model.ts";

test("a line through the smaller stages predicts the larger", () => {
  const line = fitLine([
    { at: 10, value: 1.1 },
    { at: 100, value: 2 },
  ]);
  expect(onLine(line, 1000)).toBeCloseTo(11);
});

test("a line through many points has the least squares", () => {
  const line = fitLine([0, 1, 2, 3].map((at) => ({ at, value: at % 2 === 0 ? at : at + 1 })));
  expect(line.slope).toBeCloseTo(1.2);
  expect(line.start).toBeCloseTo(0.2);
});

test("what falls by chance is taken for level", () => {
  const line = fitLine([
    { at: 10, value: 3 },
    { at: 100, value: 1 },
  ]);
  expect(line).toEqual({ start: 2, slope: 0 });
});

test("runs take as long as one alone, until the processors are busy", () => {
  const load = { alone: 16, each: 8 };
  expect([1, 2, 4, 64].map((parallel) => runTime(load, parallel))).toEqual([16, 16, 32, 512]);
  expect([1, 4, 64].map((parallel) => throughput(load, parallel))).toEqual([62.5, 125, 125]);
});

test("quantiles lie between the two nearest values", () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(quantile([1, 2, 3], 1)).toBe(3);
  expect(quantile([0, 100], 0.99)).toBeCloseTo(99);
});

test("a figure without a goal is neither reached nor missed, and what is absent is named with its reason", () => {
  const figure = { what: "a run", value: 2, unit: "ms", command: "isolate" } as const;
  expect(reached(figure)).toBeUndefined();
  expect(reached({ ...figure, goal: { atMost: 1.5 } })).toBe(false);
  expect(reached({ ...figure, goal: { atLeast: 2 } })).toBe(true);
  const text = markdown({ figures: [figure], absent: [{ what: "podman", why: "it is not installed" }] });
  expect(text).toContain("| a run | 2 ms |  |  | `isolate` |");
  expect(text).toContain("- not measured: podman: it is not installed");
});
