/** The running sandboxes, both leases of clones and edits of templates, for `isolate ps` and `isolate kill`. */
import { setTimeout as sleep } from "node:timers/promises";
import { IsolateError } from "../../protocol/errors.ts";
import { type CloneId, splitSnapshotName, type TemplateName } from "../../protocol/names.ts";
import type { ProcessSearch } from "../linux/process-search.ts";
import type { CloneRecord } from "../records/store.ts";
import type { Edits } from "./edits.ts";
import { holderOf, type NamedProcess, usersOf } from "./holder.ts";
import type { Leases } from "./leases.ts";

export interface Sandbox {
  /** Its name. */
  readonly lease: string;
  readonly kind: "run" | "edit";
  readonly template: TemplateName;
  /** null for an edit. */
  readonly snapshot: string | null;
  /** The clone; null for an edit. */
  readonly clone: CloneId | null;
  readonly uid: number;
  readonly pid: number;
  readonly command: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export interface SandboxesOptions {
  readonly leases: Pick<Leases, "list" | "kill">;
  readonly edits: Pick<Edits, "list" | "kill">;
  /** Returns the clone's row; `undefined` once it is gone. */
  readonly clone: (id: CloneId) => CloneRecord | undefined;
  readonly processes: ProcessSearch;
}

/** Milliseconds to wait for the clone to be gone; a command that ignores SIGTERM takes two seconds. */
const patience = 10_000;
const lookEvery = 20;
/** Milliseconds that a sandbox stays alive during the search for host processes that use its clone. */
const searchPatience = 3000;

export type Sandboxes = ReturnType<typeof createSandboxes>;

export function createSandboxes({ leases, edits, clone, processes }: SandboxesOptions) {
  const ending = new Map<string, Promise<string>>();

  /** Returns the user's own sandboxes; for root, all. */
  function visibleTo(uid: number): Sandbox[] {
    const mayShow = (owner: number | undefined): boolean => uid === 0 || owner === uid;
    const runs = leases.list().filter(({ lease }) => mayShow(lease?.uid));
    const editing = edits.list().filter((edit) => mayShow(edit.uid));
    return [
      ...runs.map(({ id, template, snapshot, lease }): Sandbox => {
        const { uid: owner = 0, pid = 0, command = "", since = 0 } = lease ?? {};
        const name = splitSnapshotName(snapshot).snapshot;
        return { lease: id, kind: "run", clone: id, template, snapshot: name, uid: owner, pid, command, since };
      }),
      ...editing.map((edit): Sandbox => ({ ...edit, lease: edit.template, kind: "edit", clone: null, snapshot: null })),
    ];
  }

  /** Ignores other users' sandboxes. Throws `unknown-lease` and `ambiguous-lease`. */
  function find(name: string, uid: number): Sandbox {
    const beginning = visibleTo(uid).filter(({ lease }) => lease.startsWith(name));
    const found = beginning.find(({ lease }) => lease === name) ?? beginning[0];
    if (!found || name === "") throw new IsolateError("unknown-lease", { lease: name });
    if (found.lease !== name && beginning.length > 1) {
      throw new IsolateError("ambiguous-lease", { lease: name, several: beginning.map(({ lease }) => lease) });
    }
    return found;
  }

  function isGone({ clone: id, template, since }: Sandbox): boolean {
    if (id !== null) return clone(id) === undefined;
    return !edits.list().some((edit) => edit.template === template && edit.since === since);
  }

  function whatIsLeft({ clone: id }: Sandbox, users: readonly NamedProcess[]): string {
    const record = id === null ? undefined : clone(id);
    if (!record) return "a process still uses it";
    const left = users.filter(({ pid, startTime }) => holderOf(pid)?.startTime === startTime);
    if (left.length > 0)
      return `${left.map(({ pid, name }) => `process ${pid} (${name})`).join(" and ")} still uses it`;
    return record.state === "leased" ? "its connection is still held" : (record.error ?? "it is still being destroyed");
  }

  async function end(sandbox: Sandbox, by: number): Promise<string> {
    const { lease, clone: id, template, since, uid } = sandbox;
    const view = id === null ? undefined : clone(id)?.lease?.view;
    const users: NamedProcess[] = [];
    if (view !== undefined) {
      // Before the view is unmounted: afterwards, no path leads to a process of the host that went into it.
      const patience = new AbortController();
      const search = usersOf(view, uid, users, processes).finally(() => patience.abort());
      // The names are only for the message: the sandbox is ended even without them.
      await Promise.race([search, sleep(searchPatience, undefined, { signal: patience.signal })]).catch(
        () => undefined,
      );
    }
    let killed = false;
    for (const until = performance.now() + patience; performance.now() <= until; ) {
      if (isGone(sandbox)) return lease;
      // Not while it is still being granted.
      if (!killed) killed = id === null ? edits.kill(template, since, by) : leases.kill(id, by);
      await sleep(lookEvery);
    }
    throw new IsolateError("lease-held", { lease, cause: whatIsLeft(sandbox, users) });
  }

  return {
    visibleTo,

    /**
     * Ends the sandbox whose lease begins with `name`, and resolves with the lease's name when its clone is gone. Calls
     * for the same lease share the work. Throws `unknown-lease`, `ambiguous-lease`, and `lease-held` if the clone
     * cannot be freed within some seconds.
     */
    kill(name: string, uid: number): Promise<string> {
      const sandbox = find(name, uid);
      const key = `${sandbox.lease} ${sandbox.since}`;
      const underWay = ending.get(key);
      if (underWay) return underWay;
      const work = end(sandbox, uid).finally(() => ending.delete(key));
      ending.set(key, work);
      return work;
    },
  };
}
