import { encodeBytes } from "./bytes.ts";
import { IsolateError } from "./errors.ts";

const causes: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket",
  ENOTDIR: "there is no such socket",
  ECONNREFUSED: "nothing listens there",
  ENAMETOOLONG: "the path is longer than 107 bytes",
};

/** Returns the error of a failed connect(2), for the user. */
export function unreachable(socket: string, errno: string, cause: unknown): IsolateError {
  if (errno === "EACCES" || errno === "EPERM") return new IsolateError("socket-forbidden", { socket }, cause);
  // Each runtime reports another errno for a path that is too long.
  const code = encodeBytes(socket).length > 107 ? "ENAMETOOLONG" : errno;
  return new IsolateError("not-running", { socket, cause: causes[code] ?? code }, cause);
}
