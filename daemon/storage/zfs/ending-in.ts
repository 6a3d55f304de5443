/** Finds datasets by the last component of their names, which people often use alone. */
import { lastPart } from "../../../protocol/names.ts";
import type { StorageDriver } from "../driver.ts";
import type { Zfs } from "./command.ts";

export function createEndingIn(zfs: Zfs): Required<Pick<StorageDriver, "endingIn">> {
  return {
    async endingIn(last) {
      const listed = await zfs(["list", "-H", "-t", "filesystem", "-o", "name"]);
      return listed.split("\n").filter((name) => name.includes("/") && lastPart(name) === last);
    },
  };
}
