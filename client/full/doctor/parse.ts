/** Parsers for the host's files and the output of its programs. Pure. */
import type { Facts, Unit } from "./facts.ts";

/** Returns `ID` and `ID_LIKE`, os-release(5). */
export function readDistribution(text: string): string[] {
  const value = (key: string): string => new RegExp(`^${key}=["']?([^"'\n]*)`, "m").exec(text)?.[1] ?? "";
  return `${value("ID")} ${value("ID_LIKE")}`.split(" ").filter((word) => word !== "");
}

/** Returns the sizes of a user's ranges, subuid(5). */
export function rangesOf(text: string, name: string, uid: number): number[] {
  return text.split("\n").flatMap((line) => {
    const [who, , count] = line.split(":");
    return (who === name || who === String(uid)) && count !== undefined ? [Number(count) || 0] : [];
  });
}

/** Parses `systemctl show`: one paragraph for each unit. */
export function readUnits(text: string): Unit[] {
  return text
    .trim()
    .split(/\n\n+/)
    .map((paragraph) => {
      const value = (key: string): string => new RegExp(`^${key}=(.*)$`, "m").exec(paragraph)?.[1] ?? "";
      return {
        name: value("Id"),
        load: value("LoadState"),
        active: value("ActiveState"),
        file: value("UnitFileState"),
        needsReload: value("NeedDaemonReload") === "yes",
      };
    });
}

/** Parses `zpool list -H -p`. */
export function readPools(text: string): NonNullable<Facts["zfs"]["pools"]> {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [name = "", health = "", capacity = ""] = line.split("\t");
      return { name, health, capacity: Number(capacity) || 0 };
    });
}
