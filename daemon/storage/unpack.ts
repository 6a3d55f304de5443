/** Unpacks a template's tar archive into a directory. */
import { Readable } from "node:stream";
import { IsolateError } from "../../protocol/errors.ts";
import { CommandError, run } from "../linux/child-process.ts";
import { isFull, storageFailure } from "./failure.ts";
import { fillMachineId } from "./machine-id.ts";

const endMark = 1024;

/**
 * Throws `bad-tar` if the input is not a complete archive, and `storage-full`. Skips overlayfs's own attributes
 * (`trusted.overlay.*`): in an archive they describe layers that we do not have.
 */
export async function unpack(tar: Readable, directory: string, doing: string): Promise<void> {
  const tail = { bytes: Buffer.alloc(0) };
  const attributes = ["--acls", "--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.*"];
  // Near a quota, each write to ZFS waits for a transaction group, and tar(1) by default writes 10 KiB at a time.
  const blocks = ["--blocking-factor=256", "--read-full-records"];
  const args = ["-x", "-p", "--numeric-owner", "--same-owner", ...blocks, ...attributes, "-C", directory, "-f", "-"];
  try {
    await run("tar", args, { input: Readable.from(remembering(tar, tail)) });
  } catch (error) {
    if (!(error instanceof CommandError) || isFull(error)) throw storageFailure(doing, error);
    throw badTar(error.cause !== undefined ? error.message : firstLine(error.stderr) || error.message, error);
  }
  // tar(1) accepts an archive that is cut between two members.
  if (tail.bytes.length < endMark || tail.bytes.some((byte) => byte !== 0)) throw badTar("its end is missing");
  fillMachineId(directory);
}

/** Forwards the stream, and keeps its last bytes. */
async function* remembering(tar: Readable, tail: { bytes: Buffer }): AsyncGenerator<Buffer> {
  for await (const chunk of tar as AsyncIterable<Buffer>) {
    tail.bytes = Buffer.from(Buffer.concat([tail.bytes, chunk.subarray(-endMark)]).subarray(-endMark));
    yield chunk;
  }
}

function firstLine(text: string): string {
  return (text.split("\n")[0] ?? "").replace(/^tar: /, "");
}

function badTar(wrong: string, cause?: unknown): IsolateError {
  return new IsolateError("bad-tar", { wrong }, cause);
}
