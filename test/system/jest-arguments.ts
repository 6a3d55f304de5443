/**
 * The guest's default tests: the storage contract and the end-to-end tests, on a real zpool. Tests that touch no
 * storage are left out, since `npm test` runs them on a processor that is not emulated.
 */
const defaultPatterns = [
  "dist/js/test/system",
  "dist/js/test/contract",
  "dist/js/test/integration",
  "--testPathIgnorePatterns=integration/(ahead|audit|bench|chroot|desktop|exchanged|executable|flood|help|init|input|large-ids|network|parity|seccomp|service|signals|terminal|watch)[.]",
];

/** Under emulation everything takes some 16 times as long as on the machine itself. */
const defaultTimeout = "--testTimeout=900000";

/** Returns jest's arguments in the guest: the given ones, with defaults for missing ones. */
export function jestArguments(given: readonly string[]): string[] {
  const patterns = given.some((argument) => argument.startsWith("dist/")) ? [] : defaultPatterns;
  const timeout = given.some((argument) => argument.startsWith("--testTimeout")) ? [] : [defaultTimeout];
  return ["--runInBand", ...timeout, ...patterns, ...given];
}
