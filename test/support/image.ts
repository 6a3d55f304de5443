/** A file system of its own, of a size of its own. */
import { must } from "./process.ts";

/** An ext4 file system in the file `image`, mounted at `directory`. `umount` also frees the loop device. */
export async function mountImage(image: string, directory: string, mebibytes: number): Promise<void> {
  await must(["truncate", "-s", `${mebibytes}M`, image]);
  await must(["mkfs.ext4", "-q", "-m", "0", image]);
  await must(["mkdir", "-m", "700", "-p", directory]);
  await must(["mount", "-o", "loop", image, directory]);
}
