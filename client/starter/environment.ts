/** `environ`, environ(7), by names. Pure. */

/** Of several lines of a name the first one counts, as for getenv(3), and one without `=` is nobody's. */
export function readEnvironment(lines: readonly string[]): Readonly<Record<string, string>> {
  const variables = new Map<string, string>();
  for (const line of lines) {
    const at = line.indexOf("=");
    const name = line.slice(0, at);
    if (at >= 0 && !variables.has(name)) variables.set(name, line.slice(at + 1));
  }
  return Object.fromEntries(variables);
}
