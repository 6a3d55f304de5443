/** Checks the caller's compiled filter before anything is spent on the run. The kernel checks the instructions. */
import { IsolateError } from "../../protocol/errors.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";

const instructionSize = 8; // struct sock_filter
const maximumInstructions = 4096; // BPF_MAXINSNS

/** Returns a descriptor from which the filter can be read. Throws `bad-filter`. */
export function openFilter(file: string, libc: Libc): number {
  const wrong = whatIsWrong(sizeOf(file, libc));
  if (wrong) throw new IsolateError("bad-filter", { file, wrong });
  return libc.open(file);
}

function whatIsWrong(size: number): string | undefined {
  if (size === 0) return "it is empty";
  if (size > maximumInstructions * instructionSize) return `it is longer than ${maximumInstructions} instructions`;
  if (size % instructionSize !== 0) return `its size is not a multiple of ${instructionSize} bytes (one instruction)`;
  return undefined;
}

/** Returns the size in bytes, read only up to one byte past the maximum. */
function sizeOf(file: string, libc: Libc): number {
  let fd: number | undefined;
  try {
    if (libc.kindOf(libc.realPath(file)) === "directory") throw new SystemCallError("open", "EISDIR");
    fd = libc.open(file);
    const buffer = new Uint8Array(maximumInstructions * instructionSize + 1);
    let size = 0;
    while (size < buffer.length) {
      const length = libc.read(fd, buffer.subarray(size));
      if (length === 0) break;
      size += length;
    }
    return size;
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: "there is no such file",
      EACCES: "you may not read it",
      EISDIR: "it is a directory",
    };
    throw new IsolateError("bad-filter", { file, wrong: reasons[error.errno] ?? error.errno }, error);
  } finally {
    if (fd !== undefined) libc.close(fd);
  }
}
