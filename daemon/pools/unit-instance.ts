/**
 * Instance names of `isolate_regenerate@`: a template's name as systemd-escape(1) writes it, or only its last component
 * if that is unique, as in isolate_regenerate@debisl.path. Pure.
 */
import { IsolateError } from "../../protocol/errors.ts";
import { lastPart, nearNames, parseTemplateName, type TemplateName } from "../../protocol/names.ts";

/** Returns all instance names that mean a template, the exact one first. */
export function instancesOf(template: TemplateName): string[] {
  const exact = escapeUnitName(template);
  if (!template.includes("/")) return [exact];
  const last = lastPart(template);
  // Also without escapes, as many people write a unit's name by hand.
  return [...new Set([exact, escapeUnitName(last), last])];
}

/**
 * Returns the template that an instance name means. A full name goes before a last component. If no known template
 * matches, returns the unescaped name. Throws `ambiguous-template`, `unknown-template` and `bad-name`.
 */
export function templateOfInstance(instance: string, known: readonly TemplateName[]): TemplateName {
  const exact = known.find((template) => escapeUnitName(template) === instance);
  if (exact !== undefined) return exact;
  const [one, ...more] = known.filter((template) => instancesOf(template).includes(instance));
  if (one !== undefined && more.length > 0)
    throw new IsolateError("ambiguous-template", { instance, several: [one, ...more] });
  if (one !== undefined) return one;
  const name = unescapeUnitName(instance);
  if (name.split("/").includes(""))
    throw new IsolateError("unknown-template", { template: instance, near: nearNames(instance, known) });
  return parseTemplateName(name);
}

/** Escapes like systemd-escape(1); a template's name contains no other characters that it would change. */
export function escapeUnitName(template: string): string {
  return template.replaceAll("-", "\\x2d").replaceAll(" ", "\\x20").replaceAll("/", "-");
}

function unescapeUnitName(instance: string): string {
  return instance
    .replaceAll("-", "/")
    .replace(/\\x([0-9a-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
