/** All Debian packages that the system tests need, on this machine and in the guest. They are named only here. */

/** The guest's Debian: the first stable one whose OpenZFS (2.3) has id-mapped mounts and `zfs list -j`. */
export const guestSuite = "trixie";

/** `contrib` holds zfs-dkms. */
export const guestComponents = ["main", "contrib"] as const;

/** A program that the harness runs on this machine, and its package. */
export const hostTools = [
  { program: "mmdebstrap", package: "mmdebstrap" },
  { program: "mkfs.ext4", package: "e2fsprogs" },
  { program: "ssh", package: "openssh-client" },
  { program: "ssh-keygen", package: "openssh-client" },
  { program: "tar", package: "tar" },
  { program: "setpriv", package: "util-linux" },
] as const;

/** Signs the guest's suite; without it apt refuses every package. */
export const archiveKeyring = {
  file: "/usr/share/keyrings/debian-archive-keyring.gpg",
  package: "debian-archive-keyring",
} as const;

/** QEMU 7.2 (Debian 12) crashes the guest's kernel under emulation with a double fault; 10 runs it. */
export const emulator = { program: "qemu-system-x86_64", package: "qemu-system-x86", oldestMajor: 9 } as const;

/** Build the kernel module while the image is built; they are removed from the image afterwards. */
export const guestBuildPackages = ["linux-headers-cloud-amd64", "zfs-dkms", "dkms"] as const;

/** Packages for the boot, and for the tests. */
export const guestPackages = [
  "linux-image-cloud-amd64",
  "initramfs-tools",
  "zfsutils-linux",
  "systemd-sysv",
  "dbus",
  "libpam-systemd",
  "openssh-server",
  "kmod",
  "udev",
  "bubblewrap",
  "lxc",
  "nodejs",
  "libseccomp2",
  "libsystemd0",
  "uidmap",
  "passwd",
  "login",
  "util-linux",
  "acl",
  "attr",
  "procps",
  "psmisc",
  "iproute2",
  "strace",
  "python3-minimal",
  "e2fsprogs",
  "bsdutils",
  "tmux",
] as const;
