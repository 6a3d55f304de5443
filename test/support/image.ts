/** A separate file system of a given size. */
import { must } from "./process.ts";

/** Makes an ext4 file system in the file `image` and mounts it at `directory`. `umount` also frees the loop device. */
export async function mountImage(image: string, directory: string, mebibytes: number): Promise<void> {
  await must(["truncate", "-s", `${mebibytes}M`, image]);
  await must(["mkfs.ext4", "-q", "-m", "0", image]);
  await must(["mkdir", "-m", "700", "-p", directory]);
  await must(["mount", "-o", "loop", image, directory]);
}
