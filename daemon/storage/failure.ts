/** Turns a storage's failures into errors for the user. */

import { IsolateError } from "../../protocol/errors.ts";
import { SystemCallError } from "../linux/call.ts";
import { CommandError } from "../linux/child-process.ts";

/**
 * Runs `act` and turns its errors into `storage-full` or `storage-failed`. `doing` follows "cannot" in the sentence.
 */
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
  // The last is tar(1)'s only message if a write was cut short for lack of space.
  const words = /No space left on device|Disk quota exceeded|Wrote only [0-9]+ of [0-9]+ bytes/;
  if (error instanceof CommandError) return words.test(error.stderr);
  return ["ENOSPC", "EDQUOT"].includes(errnoOf(error) ?? "");
}

// Errors of node:fs are not always `instanceof Error`: a test runner's realm has its own.

export function reasonOf(error: unknown): string {
  return (error as Partial<Error> | undefined)?.message ?? String(error);
}

/** Returns the errno name, such as `ENOENT`, of an error of node:fs or of our system calls. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof SystemCallError) return error.errno;
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
