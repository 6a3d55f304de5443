/** Medians and ratios: on a noisy machine nothing else of a time means much. */

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
}

export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: "ms" | "MB" | "times" | "s";
  /** At most, as the project asks of itself. */
  readonly goal: number;
  readonly command: string;
}

const text = ({ value, unit }: Pick<Figure, "value" | "unit">): string =>
  unit === "times" ? `${value.toFixed(2)} x` : `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`;

const goal = ({ goal: value, unit }: Figure): string =>
  Number.isFinite(value) ? `at most ${text({ value, unit })}` : "none";

export function markdown(figures: readonly Figure[]): string {
  const rows = figures.map(
    (figure) => `| ${figure.what} | ${text(figure)} | ${goal(figure)} | \`${figure.command}\` |`,
  );
  return ["| what | measured | goal | command |", "|---|---|---|---|", ...rows].join("\n");
}
