/** How mmdebstrap(1) is told to make a small Debian root. Pure: the caller asks apt and runs the program. */

/** Signs Debian's archive; both Debian and Ubuntu have it in the package of that name. */
export const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
export const debianKeyringPackage = "debian-archive-keyring";

/** What a person or a script expects of a root beyond Debian's priority `required` and apt. */
const extraPackages = ["ca-certificates", debianKeyringPackage, "iproute2", "procps"];

/** These suites have neither updates nor security updates of their own. */
const rolling = new Set(["unstable", "sid", "experimental", "rc-buggy"]);

/** The Debian mirrors that this machine's own apt uses; undefined where it uses none (Ubuntu). */
export interface DebianMirrors {
  readonly archive: string | undefined;
  readonly security: string | undefined;
}

/** For `apt-get indextargets`, whose answer `parseDebianMirrors` reads. */
export const indexTargetsFormat = "$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)";

/** Before the first `apt-get update` apt knows the addresses only, and then their last part tells what they are. */
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

/** `bookworm`, `stable`, `trixie-backports`, ...: a name of a suite and never an option or a path. */
export function isSuite(text: string): boolean {
  return /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(text) && text.length <= 64;
}

/** The tar goes to standard output. Without an archive mirror mmdebstrap(1) takes its own default. */
export function mmdebstrapArguments(suite: string, mirrors: DebianMirrors): string[] {
  return [
    "--variant=minbase",
    "--format=tar",
    `--keyring=${debianKeyring}`,
    `--include=${extraPackages.join(",")}`,
    // Without it the root would have this host's name, and could not resolve its own.
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

/** What mmdebstrap is at, from a line that it wrote to standard error; undefined for any other line. */
export function mmdebstrapStage(line: string): string | undefined {
  return /^I: ((?:running(?! --)|downloading|extracting|installing|cleaning|creating)\b.*?)\.*$/.exec(line)?.[1];
}
