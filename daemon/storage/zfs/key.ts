/** Why a dataset cannot be mounted, for its user. */
import { IsolateError } from "../../../protocol/errors.ts";
import { hasErrno } from "../../linux/call.ts";
import { encryptionOf } from "./args.ts";
import type { Zfs } from "./command.ts";
import { rootWithoutKey } from "./parse.ts";
import { storageError } from "./refusal.ts";

/** An error of a mount: `key-not-loaded` where that is the reason, and otherwise as `storageError` says. */
export async function mountFailure(zfs: Zfs, doing: string, dataset: string, thrown: unknown): Promise<IsolateError> {
  if (!hasErrno(thrown, "EACCES", "EPERM")) return storageError(doing, thrown);
  const root = await zfs(encryptionOf(dataset)).then(rootWithoutKey, () => undefined);
  return root === undefined ? storageError(doing, thrown) : new IsolateError("key-not-loaded", { doing, root }, thrown);
}
