/** What the guest tests when nobody says otherwise: what needs a real ZFS, a real systemd or both. */
const defaultPattern = "dist/js/test/system";

/** Emulated, everything takes some 16 times as long as on the machine itself. */
const defaultTimeout = "--testTimeout=900000";

/** jest's arguments in the guest: the given ones, with defaults for what they leave open. */
export function jestArguments(given: readonly string[]): string[] {
  const patterns = given.some((argument) => argument.startsWith("dist/")) ? [] : [defaultPattern];
  const timeout = given.some((argument) => argument.startsWith("--testTimeout")) ? [] : [defaultTimeout];
  return ["--runInBand", ...timeout, ...patterns, ...given];
}
