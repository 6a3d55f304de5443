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

/**
 * Without the variables that Bun obeys in a program that it has compiled: BUN_OPTIONS loads code into it, and with
 * BUN_BE_BUN it is Bun itself and runs any script. Whoever sets them rules over `isolate-client`, not over `isolate`.
 */
export function withoutBun(environment: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("BUN_")));
}
