import { machineId } from "./guest-root.ts";
import type { Image } from "./image.ts";

/** `tcg` emulates in software and runs anywhere; `kvm` is faster if the machine's /dev/kvm works. */
export type Accelerator = "tcg" | "kvm";

export interface GuestHardware {
  readonly image: Image;
  readonly accelerator: Accelerator;
  /** A sparse raw file that becomes the zpool. */
  readonly poolDisk: string;
  /** A raw ext4 file with the project. */
  readonly projectDisk: string;
  /** The port of 127.0.0.1 that is forwarded to the guest's ssh. */
  readonly sshPort: number;
  /** The socket of QEMU's machine protocol. */
  readonly monitor: string;
  /** The file for the output of the guest's serial console. */
  readonly console: string;
}

/** udev's path of a disk with a serial number: names like /dev/vdb depend on the order of discovery. */
export const poolDevice = "/dev/disk/by-id/virtio-isolate-pool";
export const projectDevice = "/dev/disk/by-id/virtio-isolate-project";

/**
 * Turns off features that only cost time under emulation. A panic ends QEMU (`panic=-1` and `-no-reboot`, except for
 * intended reboots: see monitor.ts) instead of hanging the tests.
 */
const kernelOptions = [
  "root=/dev/vda",
  "rootfstype=ext4",
  "rw",
  "console=ttyS0",
  "panic=-1",
  "net.ifnames=0",
  "mitigations=off",
  "nokaslr",
  "audit=0",
  `systemd.machine_id=${machineId}`,
];

/** Returns QEMU's arguments. `restrict=on` leaves the guest no network except the forwarded port. */
export function qemuArguments(hardware: GuestHardware): string[] {
  const { image, sshPort } = hardware;
  return [
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    ...["-machine", "q35,sata=off", "-smp", "2", "-m", "3072"],
    ...accelerator(hardware.accelerator),
    ...["-kernel", image.kernel, "-initrd", image.initrd, "-append", kernelOptions.join(" ")],
    ...["-qmp", `unix:${escaped(hardware.monitor)},server=on,wait=off`],
    ...["-serial", `file:${escaped(hardware.console)}`],
    ...disk("root", image.disk, "snapshot=on"),
    ...disk("pool", hardware.poolDisk, "discard=unmap"),
    ...disk("project", hardware.projectDisk),
    ...["-netdev", `user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:${sshPort}-:22`],
    ...["-device", "virtio-net-pci,netdev=net,romfile="],
    ...["-device", "virtio-rng-pci"],
  ];
}

/** The guest does not need five-level page tables and nested virtualization, which cost time. */
function accelerator(kind: Accelerator): string[] {
  if (kind === "kvm") return ["-accel", "kvm", "-cpu", "host"];
  return ["-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max,la57=off,svm=off"];
}

/** Flushes are not needed: these disks are discarded with the guest. */
function disk(name: string, file: string, ...options: string[]): string[] {
  const drive = [`file=${escaped(file)}`, "if=none", `id=${name}`, "format=raw", "cache=unsafe", ...options].join(",");
  return ["-drive", drive, "-device", `virtio-blk-pci,drive=${name},serial=isolate-${name}`];
}

/** Escapes a value for QEMU's option syntax, which doubles commas. */
function escaped(value: string): string {
  return value.replaceAll(",", ",,");
}
