import { guestBuildPackages } from "./packages.ts";

/**
 * The differences between the guest and a plain Debian: its files and the script that finishes it.
 *
 * All of it is part of the image's hash, so a change here makes a new image.
 */

/** The console line that reports that ssh answers. Waiting for it costs the guest nothing, unlike failing logins. */
export const readyMark = "ISOLATE-GUEST-READY";

/** The name under which the guest's host key is known, whatever port the guest is forwarded to. */
export const hostKeyAlias = "isolate-guest";

/** On the kernel's command line: without an id systemd takes each boot for the first one and presets every unit. */
export const machineId = "15014e00150150150150150150150150";

const network = `[Unit]
Description=The one address of QEMU's user network; a network manager would cost seconds of emulated boot
DefaultDependencies=no
After=systemd-modules-load.service
Before=ssh.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip link set lo up
ExecStart=/usr/sbin/ip address add 10.0.2.15/24 dev eth0
ExecStart=/usr/sbin/ip link set eth0 up

[Install]
WantedBy=multi-user.target
`;

const ready = `[Unit]
Description=Tell the serial console that ssh answers
Requires=ssh.service isolate-guest-network.service
After=ssh.service isolate-guest-network.service

[Service]
Type=oneshot
StandardOutput=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/echo ${readyMark}

[Install]
WantedBy=multi-user.target
`;

// Without PAM a login starts no user manager, which would cost seconds; only the harness logs in as root.
const sshd = `UsePAM no
PasswordAuthentication no
UseDNS no
PrintLastLog no
PrintMotd no
PerSourcePenalties no
`;

/** Path in the guest -> content. */
export const guestFiles: Readonly<Record<string, string>> = {
  "/etc/hostname": "isolate-guest\n",
  "/etc/hosts": "127.0.0.1 localhost isolate-guest\n::1 localhost\n",
  "/etc/fstab": "",
  "/etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
  "/etc/modules-load.d/isolate-guest.conf": "virtio_net\n",
  // Leaves the guest's memory to the tests.
  "/etc/modprobe.d/isolate-guest.conf": "options zfs zfs_arc_max=268435456\n",
  "/etc/ssh/sshd_config.d/isolate-guest.conf": sshd,
  "/etc/systemd/journald.conf.d/isolate-guest.conf": "[Journal]\nStorage=volatile\n",
  "/etc/systemd/system/isolate-guest-network.service": network,
  "/etc/systemd/system/isolate-guest-ready.service": ready,
};

/** Written before any package: the initramfs contains only this machine's modules, and no busybox. */
export const initramfsConfig = "MODULES=list\nBUSYBOX=n\nCOMPRESS=gzip\n";

/** No test needs these units, and each costs the emulated boot a second or more. */
const unwantedUnits = [
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "dpkg-db-backup.timer",
  "e2scrub_all.timer",
  "e2scrub_reap.service",
  "fstrim.timer",
  "systemd-tmpfiles-clean.timer",
  "getty@tty1.service",
  "serial-getty@ttyS0.service",
  "lxc.service",
  "lxc-net.service",
  "lxc-monitord.service",
  "systemd-hwdb-update.service",
  "systemd-journal-catalog-update.service",
  "systemd-journal-flush.service",
  "systemd-pstore.service",
  "systemd-random-seed.service",
  "systemd-update-utmp.service",
  "sys-kernel-debug.mount",
  "sys-kernel-tracing.mount",
  "dev-hugepages.mount",
];

/** The harness makes the pool after the boot; nothing needs to look for one before. */
const idleZfsUnits = [
  "zfs-import-cache.service",
  "zfs-import-scan.service",
  "zfs-load-module.service",
  "zfs-mount.service",
  "zfs-share.service",
  "zfs-volume-wait.service",
  "zfs-volumes.target",
  "zfs.target",
];

/**
 * Finishes the guest's root filesystem. sh runs it inside as root, after the harness's files are in place.
 *
 * The built modules are set aside before dkms is removed, since removing it deletes them.
 */
export const customizeScript = `set -eux
kernel=$(ls /lib/modules)
dkms status
test -e /lib/modules/$kernel/updates/dkms/zfs.ko* || dkms autoinstall -k $kernel
cp -a /lib/modules/$kernel/updates /var/tmp/updates
apt-get purge -y --autoremove ${guestBuildPackages.join(" ")} "linux-headers-*"
rm -rf /lib/modules/$kernel/updates /var/lib/dkms /usr/src/*
cp -a /var/tmp/updates /lib/modules/$kernel/updates
rm -rf /var/tmp/updates
depmod $kernel
modinfo -k $kernel zfs | head -3
update-initramfs -u -k $kernel

groupadd --system isolate
useradd --create-home --shell /bin/bash --uid 1001 --groups isolate alice
useradd --create-home --shell /bin/bash --uid 1002 --groups isolate bob
useradd --create-home --shell /bin/bash --uid 1003 mallory
# Only alice has a range of her own: who has none gets the daemon's.
printf 'alice:100000:65536\\n' >/etc/subuid
printf 'alice:100000:65536\\n' >/etc/subgid

chmod 700 /root/.ssh
chmod 600 /root/.ssh/authorized_keys
systemctl enable ssh.service isolate-guest-network.service isolate-guest-ready.service
systemctl mask ${unwantedUnits.join(" ")}
systemctl disable ${idleZfsUnits.join(" ")}
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/*.log
`;
