/** Medians and ratios: on a noisy machine no other figure of a time means much. */

/** The value below which that share of the values lies, interpolated between two values. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const low = sorted[Math.floor(place)] ?? Number.NaN;
  const high = sorted[Math.ceil(place)] ?? Number.NaN;
  return low + (high - low) * (place - Math.floor(place));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: "ms" | "s" | "MB" | "KB" | "times" | "per second" | "per hour" | "%" | "";
  /** The project's goal; `undefined` if the figure only explains another. */
  readonly goal?: { readonly atMost: number } | { readonly atLeast: number };
  readonly command: string;
}

/** A figure that could not be measured here, and the reason. */
export interface Absence {
  readonly what: string;
  readonly why: string;
}

export interface Findings {
  readonly figures: readonly Figure[];
  readonly absent: readonly Absence[];
}

export function reached({ value, goal }: Figure): boolean | undefined {
  if (goal === undefined) return undefined;
  return "atMost" in goal ? value <= goal.atMost : value >= goal.atLeast;
}

function text(value: number, unit: Figure["unit"]): string {
  const digits = Math.abs(value) >= 10 || Number.isInteger(value) ? 0 : 2;
  const number = unit === "times" ? value.toFixed(2) : value.toFixed(digits);
  return unit === "" ? number : unit === "times" ? `${number} x` : `${number} ${unit}`;
}

function goalText({ goal, unit }: Figure): string {
  if (goal === undefined) return "";
  return "atMost" in goal ? `at most ${text(goal.atMost, unit)}` : `at least ${text(goal.atLeast, unit)}`;
}

function verdict(figure: Figure): string {
  const was = reached(figure);
  return was === undefined ? "" : was ? "yes" : "no";
}

export function markdown({ figures, absent }: Findings): string {
  const rows = figures.map((figure) => {
    const { what, value, unit, command } = figure;
    return `| ${what} | ${text(value, unit)} | ${goalText(figure)} | ${verdict(figure)} | \`${command}\` |`;
  });
  const lacking = absent.map(({ what, why }) => `- not measured: ${what}: ${why}`);
  const table = ["| what | measured | goal | reached | command |", "|---|---|---|---|---|", ...rows];
  return [...table, ...(lacking.length > 0 ? ["", ...lacking] : [])].join("\n");
}
