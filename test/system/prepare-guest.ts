import { poolDevice, projectDevice } from "./qemu.ts";
import type { Guest } from "./vm.ts";

/** The pool that the tests may fill and empty as they like. */
export const poolName = "isotest";

/** The project's directory in the guest. */
export const projectDirectory = "/opt/isolate";

const makePool = `set -eu
modprobe zfs
zpool create -o ashift=12 -O compression=lz4 ${poolName} ${poolDevice}
`;
const mount = `set -eu
mkdir -p ${projectDirectory}
mount ${projectDevice} ${projectDirectory}
`;

/** Makes the zpool and attaches the project. The users are in the image: making them here would cost seconds each run. */
export async function prepareGuest(guest: Guest): Promise<void> {
  const code = await guest.run(["sh", "-c", makePool], { timeoutMs: 5 * 60_000 });
  if (code !== 0) throw new Error(`cannot prepare the guest: making its zpool failed (${code})`);
  await mountProject(guest);
}

/** Mounts the project; required after each boot. */
export async function mountProject(guest: Guest): Promise<void> {
  const code = await guest.run(["sh", "-c", mount], { timeoutMs: 5 * 60_000 });
  if (code !== 0) throw new Error(`cannot prepare the guest: mounting the project failed (${code})`);
}
