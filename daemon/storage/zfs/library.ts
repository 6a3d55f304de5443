/**
 * OpenZFS's own library, libzfs_core, which saves a process of zfs(8) for each step. Besides daemon/linux, these are
 * the daemon's only native calls. Each waits for a transaction group, so it runs in another thread; parallel calls
 * share one.
 */
import koffi, { type KoffiFunc, type LibraryHandle } from "koffi";
import { poolOf } from "./parse.ts";
import type { Turn } from "./turns.ts";

/** A number must be a bigint: only the command understands the words of zfsprops(7). */
export type PropertyValue = string | bigint;

export interface ZfsLibrary {
  /** Makes a clone with these properties, or nothing. Returns 0 or the errno. */
  clone(dataset: string, from: string, properties: Readonly<Record<string, PropertyValue>>): Promise<number>;
  /**
   * Runs a channel program, zfs-program(8), in one transaction group, and returns its text. The program gets `args` as
   * a table. Throws if it does not complete.
   */
  program(pool: string, script: string, args: Readonly<Record<string, string>>): Promise<string>;
}

/** The sonames of OpenZFS 2.0 to 2.4. Another soname would mean another interface. */
const names = ["libzfs_core.so.3", "libnvpair.so.3"] as const;

const uniqueNames = 1; // NV_UNIQUE_NAME
const instructions = 10_000_000n; // zfs-program(8)'s own default
/** Bytes for a program's values and its answer. */
const programMemory = 1n << 20n;

/** Undefined where the libraries are missing or are not the known ones, or the module is not loaded. */
export function openLibrary(turn: Turn): ZfsLibrary | undefined {
  try {
    return bind(turn);
  } catch {
    return undefined; // zfs(8) does the same, and says what is wrong where it cannot
  }
}

type Pointer = unknown;
type Call = (...args: unknown[]) => Promise<number>;

function bind(turn: Turn): ZfsLibrary {
  const [core, nvpair] = names.map((name) => koffi.load(name)) as [LibraryHandle, LibraryHandle];
  const list = {
    make: nvpair.func("int nvlist_alloc(_Out_ void **list, uint flags, int sleep)"),
    free: nvpair.func("void nvlist_free(void *list)"),
    addText: nvpair.func("int nvlist_add_string(void *list, const char *name, const char *value)"),
    addNumber: nvpair.func("int nvlist_add_uint64(void *list, const char *name, uint64_t value)"),
    text: nvpair.func("int nvlist_lookup_string(void *list, const char *name, _Out_ const char **value)"),
  };
  const clone = inThread(core.func("int lzc_clone(const char *dataset, const char *origin, void *properties)"));
  const program = inThread(
    core.func(
      "int lzc_channel_program(const char *pool, const char *program, uint64_t instructions, uint64_t memory, void *args, _Out_ void **result)",
    ),
  );
  const started = core.func("int libzfs_core_init()")();
  if (started !== 0) throw new Error(`libzfs_core_init: errno ${started}`);

  /** Calls `act` with an nvlist(3), and frees it afterwards. */
  async function withList<T>(
    values: Readonly<Record<string, PropertyValue>>,
    act: (made: Pointer) => Promise<T>,
  ): Promise<T> {
    const made: Pointer[] = [null];
    if (list.make(made, uniqueNames, 0) !== 0) throw new Error("nvlist_alloc failed");
    try {
      for (const [name, value] of Object.entries(values)) {
        const failed =
          typeof value === "string" ? list.addText(made[0], name, value) : list.addNumber(made[0], name, value);
        if (failed !== 0) throw new Error(`nvlist_add of ${name}: errno ${failed}`);
      }
      return await act(made[0]);
    } finally {
      list.free(made[0]);
    }
  }

  function textOf(result: Pointer, name: string): string | undefined {
    const text: (string | null)[] = [null];
    return result !== null && list.text(result, name, text) === 0 ? (text[0] ?? undefined) : undefined;
  }

  return {
    clone: (dataset, from, properties) =>
      turn(poolOf(dataset), () => withList(properties, (given) => clone(dataset, from, given))),
    program: (pool, script, args) =>
      turn(pool, () =>
        withList(args, async (given) => {
          const result: Pointer[] = [null];
          const failed = await program(pool, script, instructions, programMemory, given, result);
          try {
            const answer = textOf(result[0], "return");
            if (failed === 0 && answer !== undefined) return answer;
            throw new Error(textOf(result[0], "error") ?? `the channel program failed with errno ${failed}`);
          } finally {
            if (result[0] !== null) list.free(result[0]);
          }
        }),
      ),
  };
}

function inThread(call: KoffiFunc<(...args: unknown[]) => number>): Call {
  return (...args) =>
    new Promise((resolve, reject) => {
      call.async(...args, (thrown: unknown, result: number) => (thrown ? reject(thrown) : resolve(result)));
    });
}
