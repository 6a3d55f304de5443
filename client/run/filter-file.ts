/** Checks the caller's compiled filter before anything is spent on the run. The kernel checks the instructions. */
import { IsolateError } from "../../protocol/errors.ts";
import { SystemCallError } from "./linux/call.ts";
import type { Libc } from "./linux/libc.ts";

const instructionSize = 8; // struct sock_filter
const maximumInstructions = 4096; // BPF_MAXINSNS

/** Returns a descriptor of a copy of the filter that was checked. Throws `bad-filter`. */
export function openFilter(file: string, libc: Libc): number {
  const filter = readFilter(file, libc);
  const wrong = whatIsWrong(filter.length);
  if (wrong) throw new IsolateError("bad-filter", { file, wrong });
  return libc.memoryFile(filter);
}

function whatIsWrong(size: number): string | undefined {
  if (size === 0) return "it is empty";
  if (size > maximumInstructions * instructionSize) return `it is longer than ${maximumInstructions} instructions`;
  if (size % instructionSize !== 0) return `its size is not a multiple of ${instructionSize} bytes (one instruction)`;
  return undefined;
}

/** Reads up to one byte past the maximum. */
function readFilter(file: string, libc: Libc): Uint8Array {
  let fd: number | undefined;
  try {
    fd = libc.open(file);
    const buffer = new Uint8Array(maximumInstructions * instructionSize + 1);
    let size = 0;
    while (size < buffer.length) {
      const length = libc.read(fd, buffer.subarray(size));
      if (length === 0) break;
      size += length;
    }
    return buffer.subarray(0, size);
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
