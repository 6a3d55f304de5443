/** What a storage's failure means to its user. */

import { IsolateError } from "../../protocol/errors.ts";
import { SystemCallError } from "../linux/call.ts";
import { CommandError } from "../linux/child-process.ts";

/** Runs `act`; what it throws becomes `storage-full` or `storage-failed`. `doing` follows "cannot". */
export async function storing<T>(doing: string, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw storageFailure(doing, error);
  }
}

export function storageFailure(doing: string, error: unknown): IsolateError {
  if (error instanceof IsolateError) return error;
  const cause = reasonOf(error);
  return new IsolateError(isFull(error) ? "storage-full" : "storage-failed", { doing, cause }, error);
}

/** Whether space, inodes or a quota ran out. */
export function isFull(error: unknown): boolean {
  // The last is all that tar(1) says of a write that was cut short by the end of the space.
  const words = /No space left on device|Disk quota exceeded|Wrote only [0-9]+ of [0-9]+ bytes/;
  if (error instanceof CommandError) return words.test(error.stderr);
  return ["ENOSPC", "EDQUOT"].includes(errnoOf(error) ?? "");
}

// Errors of node:fs are not always `instanceof Error`: a test runner's realm has its own.

export function reasonOf(error: unknown): string {
  return (error as Partial<Error> | undefined)?.message ?? String(error);
}

/** `ENOENT` and so on, of node:fs or of our own system calls. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof SystemCallError) return error.errno;
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
