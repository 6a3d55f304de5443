/**
 * The costs of a lease and a run, fitted to small numbers to predict large ones. Pure. README.md explains the model.
 */

export interface Point {
  readonly at: number;
  readonly value: number;
}

export interface Line {
  readonly start: number;
  readonly slope: number;
}

/** The least-squares line whose slope is not negative: nothing gets cheaper when clones are added. */
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
  /** Milliseconds of a single run at a time. */
  readonly alone: number;
  /** Milliseconds between the ends of two runs if the processors are always busy. */
  readonly each: number;
}

/** Milliseconds of a run with that many in parallel: as if alone until the processors are busy, then one turn each. */
export const runTime = ({ alone, each }: Load, parallel: number): number => Math.max(alone, parallel * each);

/** Runs a second. */
export const throughput = (load: Load, parallel: number): number => (parallel * 1000) / runTime(load, parallel);
