/** The machine-id(5) of a new template. */
import { randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, ftruncateSync, lstatSync, openSync, readFileSync, writeSync } from "node:fs";

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_RDWR } = constants;

/**
 * Fills in the id if the file says that there is none yet, as in a new Debian; otherwise each run would have to make
 * one for its clone. Follows no link. A root filesystem without the file stays unchanged.
 */
export function fillMachineId(directory: string): void {
  inside(directory, (root) => inside(`${root}/etc`, (etc) => fill(`${etc}/machine-id`)));
}

function fill(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found?.isFile() || found.nlink > 1) return;
  const file = openSync(path, O_RDWR | O_NOFOLLOW);
  try {
    if (fstatSync(file).size > 64 || !/^(uninitialized)?\s*$/.test(readFileSync(file, "latin1"))) return;
    const id = randomBytes(16);
    id.writeUInt8((id.readUInt8(6) & 0x0f) | 0x40, 6); // the version of a random UUID
    id.writeUInt8((id.readUInt8(8) & 0x3f) | 0x80, 8);
    ftruncateSync(file);
    writeSync(file, `${id.toString("hex")}\n`, 0);
  } finally {
    closeSync(file);
  }
}

/** Calls `act` with a path to the opened directory that no rename can redirect; not if it is absent or a link. */
function inside(directory: string, act: (path: string) => void): void {
  let fd: number;
  try {
    fd = openSync(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")) return;
    throw error;
  }
  try {
    act(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}
