/** Commands that mend a host, for its distribution. Pure. */

type Wanted = "bubblewrap" | "zfs";

const managers: readonly (readonly [ids: readonly string[], packages: Partial<Record<Wanted, string>>])[] = [
  [["ubuntu"], { bubblewrap: "apt-get install bubblewrap", zfs: "apt-get install zfsutils-linux" }],
  // In contrib; the module is built for the kernel that runs.
  [
    ["debian"],
    {
      bubblewrap: "apt-get install bubblewrap",
      zfs: "apt-get install linux-headers-$(uname -r) zfs-dkms zfsutils-linux",
    },
  ],
  [["gentoo"], { bubblewrap: "emerge sys-apps/bubblewrap", zfs: "emerge sys-fs/zfs" }],
  [["arch"], { bubblewrap: "pacman -S bubblewrap" }],
  [["fedora", "rhel"], { bubblewrap: "dnf install bubblewrap" }],
  [["opensuse", "suse"], { bubblewrap: "zypper install bubblewrap" }],
  [["alpine"], { bubblewrap: "apk add bubblewrap", zfs: "apk add zfs" }],
  [["nixos"], {}],
];

/** `distribution`: `ID`, then `ID_LIKE`, of os-release(5). Undefined where we do not know the command. */
export function install(what: Wanted, distribution: readonly string[]): string | undefined {
  for (const id of distribution) {
    const found = managers.find(([ids]) => ids.some((known) => id === known || id.startsWith(`${known}-`)));
    if (found) return found[1][what];
  }
  return undefined;
}

/** sysctl.d(5): now, and after the next start too. */
export function setSysctl(assignment: string): string {
  return `sh -c 'echo "${assignment}" > /etc/sysctl.d/60-isolate.conf && sysctl --system'`;
}

export function asRoot(command: string, uid: number): string {
  return uid === 0 ? command : `sudo ${command}`;
}
