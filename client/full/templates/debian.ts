/** Builds the mmdebstrap(1) command line for a small Debian root. Pure: the caller asks apt and runs the program. */

/** The keyring of Debian's archive; on Debian and Ubuntu it is in the package of that name. */
export const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
export const debianKeyringPackage = "debian-archive-keyring";

/** Packages that people and scripts expect in addition to Debian's priority `required` and apt. */
const extraPackages = ["ca-certificates", debianKeyringPackage, "iproute2", "procps"];

/** Suites without updates and security updates. */
const rolling = new Set(["unstable", "sid", "experimental", "rc-buggy"]);

/** The Debian mirrors of this machine's apt; `undefined` if it has none (Ubuntu). */
export interface DebianMirrors {
  readonly archive: string | undefined;
  readonly security: string | undefined;
}

/** The arguments of `apt-get indextargets`, whose output `parseDebianMirrors` reads. */
export const indexTargetsFormat = "$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)";

/** Before the first `apt-get update`, apt knows only the addresses; then their last part identifies the archive. */
export function parseDebianMirrors(indexTargets: string): DebianMirrors {
  const rows = indexTargets.split("\n").flatMap((line) => {
    const [createdBy, origin, label, component, uri] = line.split("|");
    if (createdBy !== "Packages" || component !== "main" || !uri || /\s/.test(uri)) return [];
    const lastPart = uri.replace(/\/+$/, "").split("/").at(-1);
    const kind = origin
      ? `${origin}/${label}`
      : { debian: "Debian/Debian", "debian-security": "Debian/Debian-Security" }[lastPart ?? ""];
    return [{ kind, uri: uri.replace(/\/+$/, "") }];
  });
  const find = (kind: string): string | undefined => rows.find((row) => row.kind === kind)?.uri;
  return { archive: find("Debian/Debian"), security: find("Debian/Debian-Security") };
}

/** Whether this can be the name of a suite (`bookworm`, `stable`, `trixie-backports`), and not an option or a path. */
export function isSuite(text: string): boolean {
  return /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(text) && text.length <= 64;
}

/** The tar is written to standard output. Without an archive mirror, mmdebstrap(1) uses its default. */
export function mmdebstrapArguments(suite: string, mirrors: DebianMirrors): string[] {
  return [
    "--variant=minbase",
    "--format=tar",
    `--keyring=${debianKeyring}`,
    `--include=${extraPackages.join(",")}`,
    // Otherwise the root would have this host's name and could not resolve its own name.
    `--customize-hook=printf '127.0.0.1 localhost\\n::1 localhost\\n' >"$1/etc/hosts"; echo localhost >"$1/etc/hostname"`,
    suite,
    "-",
    ...sources(suite, mirrors),
  ];
}

function sources(suite: string, { archive, security }: DebianMirrors): string[] {
  if (archive === undefined) return [];
  const line = (uri: string, of: string): string => `deb [signed-by=${debianKeyring}] ${uri} ${of} main`;
  if (rolling.has(suite)) return [line(archive, suite)];
  const updates = [line(archive, suite), line(archive, `${suite}-updates`)];
  return security === undefined ? updates : [...updates, line(security, `${suite}-security`)];
}

/** Returns mmdebstrap's stage from a line of its standard error; `undefined` for any other line. */
export function mmdebstrapStage(line: string): string | undefined {
  return /^I: ((?:running(?! --)|downloading|extracting|installing|cleaning|creating)\b.*?)\.*$/.exec(line)?.[1];
}
