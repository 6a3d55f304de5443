/**
 * The names that cross the socket, each parsed once into its own type.
 * A name is looked up, never acted upon: parsing only rejects names that no driver could have.
 */
import { IsolateError } from "./errors.ts";

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** A ZFS dataset with at least one slash (`rpool/isolate/debisl`), or an overlay template without any (`debian`). */
export type TemplateName = Branded<string, "TemplateName">;
/** `TEMPLATE@SNAPSHOT`, as zfs(8) writes it; both drivers use the form. */
export type SnapshotName = Branded<string, "SnapshotName">;
/** The template name's last component, `_`, and the time of creation in nanoseconds since 1970. Unique on a host. */
export type CloneId = Branded<string, "CloneId">;

const maximumTemplateLength = 200;
const component = /^[A-Za-z0-9][A-Za-z0-9_.:-]*$/;
/** Of a dataset's name below a pool: zfs(8) knows the space as well, and lets it begin with more. */
const zfsComponent = /^[A-Za-z0-9_-]([A-Za-z0-9_.: -]*[A-Za-z0-9_.:-])?$/;
const cloneId = /^[A-Za-z0-9_-]([A-Za-z0-9_.: -]*[A-Za-z0-9_.:-])?_[0-9]{19}$/;

/**
 * Throws `bad-name`. The rules for a name with a slash are those of zfs(8), except that a component never begins with `.`
 * or a space nor ends with a space. A name without one names a directory of the overlay store, and an option never.
 */
export function parseTemplateName(text: string): TemplateName {
  const wrong = whatIsWrong(text);
  if (wrong) throw new IsolateError("bad-name", { name: text.slice(0, 80), wrong });
  return text as TemplateName;
}

function whatIsWrong(text: string): string | undefined {
  if (text === "") return "it is empty";
  if (text.length > maximumTemplateLength) return `it is longer than ${maximumTemplateLength} characters`;
  if (text.includes("@")) return "it names a snapshot, not a template";
  const parts = text.split("/");
  if (parts.length === 1 && !component.test(text)) {
    return "it must begin with a letter or digit; letters, digits, '_', '.', ':' and '-' may follow";
  }
  if (!parts.every((part, index) => (index === 0 ? component : zfsComponent).test(part))) {
    return "each part must begin with a letter or digit; letters, digits, spaces, '_', '.', ':' and '-' may follow";
  }
  return undefined;
}

export function isCloneId(text: string): text is CloneId {
  return cloneId.test(text);
}

export function snapshotName(template: TemplateName, snapshot: string): SnapshotName {
  return `${template}@${snapshot}` as SnapshotName;
}

/** Returns the two halves of a snapshot's name. */
export function splitSnapshotName(name: SnapshotName): { template: TemplateName; snapshot: string } {
  const at = name.indexOf("@");
  return { template: name.slice(0, at) as TemplateName, snapshot: name.slice(at + 1) };
}

/** `nanoseconds` since 1970; the caller must never pass the same value twice. */
export function makeCloneId(template: TemplateName, nanoseconds: bigint): CloneId {
  return `${lastPart(template)}_${nanoseconds.toString().padStart(19, "0")}` as CloneId;
}

/** Returns the last component, which people often use alone. */
export function lastPart(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

/** Returns at most three known names near to `wanted`, best first; if it is the last component of some, only these. */
export function nearNames(wanted: string, known: readonly string[]): string[] {
  const ending = wanted.includes("/") ? [] : known.filter((name) => lastPart(name) === wanted);
  if (ending.length > 0) return ending.slice(0, 3);
  const most = (name: string): number => Math.max(2, Math.floor(lastPart(name).length / 3));
  // Only names of similar length are compared, as callers may send any text.
  const distance = (a: string, b: string, limit: number): number =>
    Math.abs(a.length - b.length) > limit ? Number.POSITIVE_INFINITY : editDistance(a, b);
  return known
    .map((name) => ({
      name,
      whole: distance(wanted, name, most(name)),
      last: distance(lastPart(wanted), lastPart(name), most(name)),
    }))
    .filter(({ name, whole, last }) => Math.min(whole, last) <= most(name))
    .sort((a, b) => Math.min(a.whole, a.last) - Math.min(b.whole, b.last) || (a.whole < b.whole ? -1 : 1))
    .slice(0, 3)
    .map(({ name }) => name);
}

/** The Levenshtein distance. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
