/**
 * What the guest tests when nobody says otherwise: the storage contract and the end-to-end tests, on a real zpool. Not
 * those that touch no storage, since `npm test` has run them on a processor that is not emulated.
 */
const defaultPatterns = [
  "dist/js/test/system",
  "dist/js/test/contract",
  "dist/js/test/integration",
  "--testPathIgnorePatterns=integration/(bench|chroot|desktop|executable|init|input|network|parity|seccomp|service|terminal)[.]",
];

/** Emulated, everything takes some 16 times as long as on the machine itself. */
const defaultTimeout = "--testTimeout=900000";

/** jest's arguments in the guest: the given ones, with defaults for what they leave open. */
export function jestArguments(given: readonly string[]): string[] {
  const patterns = given.some((argument) => argument.startsWith("dist/")) ? [] : defaultPatterns;
  const timeout = given.some((argument) => argument.startsWith("--testTimeout")) ? [] : [defaultTimeout];
  return ["--runInBand", ...timeout, ...patterns, ...given];
}
