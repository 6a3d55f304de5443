/** Reads `environ`, environ(7). Pure. */

/** Returns the variables by name. The first line of a name counts, as for getenv(3); lines without `=` are ignored. */
export function readEnvironment(lines: readonly string[]): Readonly<Record<string, string>> {
  const variables = new Map<string, string>();
  for (const line of lines) {
    const at = line.indexOf("=");
    const name = line.slice(0, at);
    if (at >= 0 && !variables.has(name)) variables.set(name, line.slice(at + 1));
  }
  return Object.fromEntries(variables);
}
