/** Finds out which host ids belong to accounts, for code that takes unused ids. Starts no process itself. */
import { idCount, idEnd } from "./ids.ts";

/** Runs getent(1) with these arguments, for a limited time, and returns its output; an unknown key is not an error. */
export type Getent = (args: readonly string[]) => Promise<string>;

/**
 * FreeIPA and SSSD give each domain this many consecutive ids, from a multiple of it on (ipa-server-install(1), and
 * "ID MAPPING" in sssd-ad(5)).
 */
const sliceSize = 200_000;
/**
 * Offsets from a slice's first id that a domain with any account uses: the built-in ids, then the first ones created.
 */
const inSlice = [0, 1, 3, 500, 501, 512, 513, 1000, 1001, 1103, 1104];
/** Offsets from a range's first id: its edges, and some between. */
const inRange = [0, 1, 500, 1000, 1001, 10_000, 20_000, 32_768, 50_000, idCount - 1];

/**
 * Returns ids that tell whether accounts have some of the `idCount` ids from `first` on, or may get some. A directory
 * service cannot be asked for all.
 */
export function telltaleIds(first: number): number[] {
  const ids = new Set(inRange.map((offset) => first + offset));
  const start = Math.floor(first / sliceSize) * sliceSize;
  for (let slice = start; slice < first + idCount; slice += sliceSize) {
    for (const offset of inSlice) ids.add(slice + offset);
  }
  return [...ids].filter((id) => id < idEnd);
}

const databases = { passwd: "user", group: "group" } as const;

/**
 * Resolves with an account that has one of the `idCount` ids from `first` on; `undefined` if there is none. Exact for
 * the host's own files, and as good as `telltaleIds` for directory services. Throws the error of `getent`.
 */
export async function findAccount(getent: Getent, first: number): Promise<string | undefined> {
  const keys = telltaleIds(first).map(String);
  const found = await Promise.all(
    (["passwd", "group"] as const).map(async (database) => {
      const local = parseAccounts(await getent(["-s", "files", database]));
      const one = local.find(({ id }) => id >= first && id < first + idCount);
      const account = one ?? parseAccounts(await getent([database, "--", ...keys]))[0];
      return account && `the ${databases[database]} '${account.name}' (${account.id})`;
    }),
  );
  return found.find((account) => account !== undefined);
}

/** Parses lines of passwd(5) or group(5), which both have the id in the third field. */
function parseAccounts(text: string): { readonly name: string; readonly id: number }[] {
  return text.split("\n").flatMap((line) => {
    const [name, , id] = line.split(":");
    return name === undefined || !id || !/^[0-9]+$/.test(id) ? [] : [{ name, id: Number(id) }];
  });
}
