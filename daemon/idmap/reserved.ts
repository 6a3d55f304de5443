/**
 * Ids that others allocate: useradd(8) those in login.defs(5), and systemd those in its document "Users, Groups, UIDs
 * and GIDs on systemd Systems". Pure.
 */
import { idCount } from "../../protocol/ids.ts";

export interface Reserved {
  readonly first: number;
  readonly last: number;
  readonly what: string;
}

/** systemd's ids above 65535; lower ids cannot be a base. */
const ofSystemd: readonly Reserved[] = [
  { first: 0x00080000, last: 0x6fffffff, what: "systemd-nspawn allocates them to containers" },
  { first: 0x7ffe0000, last: 0x7ffeffff, what: "systemd reserves them for foreign ids" },
];

/** The defaults of shadow if login.defs(5) does not set them. */
const usual = {
  UID_MIN: 1000,
  UID_MAX: 60000,
  GID_MIN: 1000,
  GID_MAX: 60000,
  SUB_UID_MIN: 100_000,
  SUB_UID_MAX: 600_100_000,
  SUB_UID_COUNT: 65536,
  SUB_GID_MIN: 100_000,
  SUB_GID_MAX: 600_100_000,
  SUB_GID_COUNT: 65536,
} as const;

/** `loginDefs`: the text of login.defs(5), empty on a host without it. */
export function reservedRanges(loginDefs: string): Reserved[] {
  const number = (key: keyof typeof usual): number => numberOf(loginDefs, key) ?? usual[key];
  const range = (min: keyof typeof usual, max: keyof typeof usual): Reserved => ({
    first: number(min),
    last: number(max),
    what: `useradd allocates them (${min} and ${max} in /etc/login.defs)`,
  });
  return [
    range("UID_MIN", "UID_MAX"),
    range("GID_MIN", "GID_MAX"),
    // A count of 0 means that useradd delegates none.
    ...(number("SUB_UID_COUNT") === 0 ? [] : [range("SUB_UID_MIN", "SUB_UID_MAX")]),
    ...(number("SUB_GID_COUNT") === 0 ? [] : [range("SUB_GID_MIN", "SUB_GID_MAX")]),
    ...ofSystemd,
  ].filter(({ first, last }) => first <= last);
}

/** shadow reads values with strtoul(3): decimal, or with the prefix `0x` or `0`. The last line with the key counts. */
function numberOf(text: string, key: string): number | undefined {
  const lines = [...text.matchAll(new RegExp(`^[ \\t]*${key}[ \\t]+"?(0[xX][0-9a-fA-F]+|[0-9]+)`, "gm"))];
  const value = lines.at(-1)?.[1];
  if (value === undefined) return undefined;
  return /^0[0-7]+$/.test(value) ? Number.parseInt(value, 8) : Number(value);
}

/** The next step if `ids.base` cannot be used. */
export const otherBase = "set ids.base in isolated.toml to unused ids, and restart the daemon";

/** Returns why no range can be allocated from `base` on; `undefined` if one can. */
export function whatIsWrongWithBase(base: number, reserved: readonly Reserved[]): string | undefined {
  const owner = reserved.find(({ first, last }) => base <= last && first < base + idCount);
  return owner && `ids.base is ${base}, and the ids from ${owner.first} to ${owner.last} are not free: ${owner.what}`;
}
