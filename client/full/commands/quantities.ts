/** Formats numbers for people, and parses the times that people write. */
import { usage } from "../../run/options/arguments.ts";

export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

const unitSeconds = { d: 86_400, h: 3600, m: 60, s: 1 } as const;

/** The two largest units: `3d 4h`, `2m 5s`. */
export function duration(milliseconds: number): string {
  let rest = Math.max(0, Math.floor(milliseconds / 1000));
  const parts = Object.entries(unitSeconds).map(([unit, seconds]) => {
    const count = Math.floor(rest / seconds);
    rest -= count * seconds;
    return { count, text: `${count}${unit}` };
  });
  const first = parts.findIndex(({ count }) => count > 0);
  if (first < 0) return "0s";
  return parts
    .slice(first, first + 2)
    .filter(({ count }) => count > 0)
    .map(({ text }) => text)
    .join(" ");
}

/** A size that was counted at a moment; says how long ago if that matters. */
export function bytesAsOf(bytes: number | null, at: string | null, now: number): string | null {
  if (bytes === null || at === null) return null;
  const age = now - Date.parse(at);
  return age < 15_000 ? size(bytes) : `${size(bytes)}, ${duration(age)} ago`;
}

/** Formats a time in the reader's time zone. */
export function localTime(iso: string): string {
  const at = new Date(iso);
  const two = (number: number): string => String(number).padStart(2, "0");
  const date = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${date} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`;
}

/**
 * Reads `30m` as that long before `now`, or a date with an optional time in the writer's time zone. Returns ISO 8601;
 * throws `usage`.
 */
export function readMoment(text: string, option: string, now: number): string {
  const [, count, unit] = /^([0-9]{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined) {
    return new Date(now - Number(count) * unitSeconds[unit as keyof typeof unitSeconds] * 1000).toISOString();
  }
  const [, date, time = "00:00"] =
    /^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?))?$/.exec(text) ?? [];
  const at = date === undefined ? Number.NaN : Date.parse(`${date}T${time}`);
  // JavaScript takes the 31st of November for the 1st of December.
  if (Number.isNaN(at) || !localTime(new Date(at).toISOString()).startsWith(date ?? "")) {
    throw usage(`${option} needs a time, such as 30m, 12h, 7d, 2026-11-30 or '2026-11-30 18:00', not '${text}'`);
  }
  return new Date(at).toISOString();
}
