/** Commands that fix a host, by distribution. Pure. */

type Wanted = "bubblewrap" | "nftables" | "passt" | "slirp4netns" | "zfs";

const managers: readonly (readonly [ids: readonly string[], command: string, zfs?: string])[] = [
  [["ubuntu"], "apt-get install", "apt-get install zfsutils-linux"],
  // In contrib; dkms builds the module for the running kernel.
  [["debian"], "apt-get install", "apt-get install linux-headers-$(uname -r) zfs-dkms zfsutils-linux"],
  [["gentoo"], "emerge", "emerge sys-fs/zfs"],
  [["arch"], "pacman -S"],
  [["fedora", "rhel"], "dnf install"],
  [["opensuse", "suse"], "zypper install"],
  [["alpine"], "apk add", "apk add zfs"],
];
const ofGentoo: Readonly<Record<string, string>> = {
  bubblewrap: "sys-apps/bubblewrap",
  nftables: "net-firewall/nftables",
  passt: "net-misc/passt",
  slirp4netns: "app-containers/slirp4netns",
};

/**
 * Returns the command that installs `what`; `undefined` if it is not known for the distribution.
 * `distribution`: `ID`, then `ID_LIKE`, of os-release(5).
 */
export function install(what: Wanted, distribution: readonly string[]): string | undefined {
  for (const id of distribution) {
    const found = managers.find(([ids]) => ids.some((known) => id === known || id.startsWith(`${known}-`)));
    if (!found) continue;
    const [, command, zfs] = found;
    if (what === "zfs") return zfs;
    return `${command} ${(command === "emerge" && ofGentoo[what]) || what}`;
  }
  return undefined;
}

/** Returns the command that sets a sysctl now and at each boot, sysctl.d(5). */
export function setSysctl(assignment: string): string {
  return `sh -c 'echo "${assignment}" > /etc/sysctl.d/60-isolate.conf && sysctl --system'`;
}

export function asRoot(command: string, uid: number): string {
  return uid === 0 ? command : `sudo ${command}`;
}
