/** The host programs that the client looks for, with their Debian packages. Pure. */
import { IsolateError } from "../../protocol/errors.ts";

/** The only list: `npm test` fails if tools/packages.mjs does not name one of these packages. */
export const hostPrograms = {
  bwrap: "bubblewrap",
  bzip2: "bzip2",
  gzip: "gzip",
  "lxc-start": "lxc",
  mmdebstrap: "mmdebstrap",
  nft: "nftables",
  pasta: "passt",
  slirp4netns: "slirp4netns",
  tar: "tar",
  xz: "xz-utils",
  zstd: "zstd",
} as const satisfies Readonly<Record<string, string>>;

export type HostProgram = keyof typeof hostPrograms;

export function missingProgram(program: HostProgram): IsolateError {
  return new IsolateError("missing-program", { program, package: hostPrograms[program] });
}
