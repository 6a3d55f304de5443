/**
 * What a lease and a run cost, fitted to small numbers, to predict the large ones. Pure. README.md says what is behind it.
 */

export interface Point {
  readonly at: number;
  readonly value: number;
}

export interface Line {
  readonly start: number;
  readonly slope: number;
}

/** The straight line with the least squares among those that do not fall: nothing gets cheaper by what is added. */
export function fitLine(points: readonly Point[]): Line {
  const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;
  const middle = mean(points.map(({ at }) => at));
  const level = mean(points.map(({ value }) => value));
  const spread = points.reduce((sum, { at }) => sum + (at - middle) ** 2, 0);
  const tendency = points.reduce((sum, { at, value }) => sum + (at - middle) * (value - level), 0) / spread;
  const slope = Math.max(tendency, 0);
  return { start: level - slope * middle, slope };
}

export const onLine = ({ start, slope }: Line, at: number): number => start + slope * at;

export interface Load {
  /** Milliseconds of a run that is alone. */
  readonly alone: number;
  /** Milliseconds between the ends of two runs where the processors have no rest. */
  readonly each: number;
}

/** Milliseconds of a run among so many at a time: alone until the processors are busy, then a turn for each. */
export const runTime = ({ alone, each }: Load, parallel: number): number => Math.max(alone, parallel * each);

/** Runs a second. */
export const throughput = (load: Load, parallel: number): number => (parallel * 1000) / runTime(load, parallel);
