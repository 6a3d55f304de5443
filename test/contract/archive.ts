/** Tar archives of small trees. */
import { type ChildProcess, spawn } from "node:child_process";
import { Readable } from "node:stream";
import { must } from "../support/process.ts";
import { makeDirectory, removeDirectory } from "./lessee.ts";

/** Returns one archive of everything that the shell script makes in an empty directory, as root. */
export async function archive(script: string): Promise<Buffer> {
  const directory = makeDirectory();
  try {
    await must(["sh", "-ec", `cd "$0"; ${script}`, directory]);
    return await collect(
      spawn("tar", ["--xattrs", "-c", "-C", directory, "."], { stdio: ["ignore", "pipe", "inherit"] }),
    );
  } finally {
    await removeDirectory(directory);
  }
}

async function collect(child: ChildProcess): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout ?? []) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A stream in pieces, as it arrives over a socket. */
export function streamOf(bytes: Buffer, failure?: Error): Readable {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += 16384) yield bytes.subarray(at, at + 16384);
    if (failure) throw failure;
  }
  return Readable.from(pieces());
}
