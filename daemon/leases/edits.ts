/** `isolate template edit`: root's lease of a template's own writable state instead of a clone of it. */
import { mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { IsolateError } from "../../protocol/errors.ts";
import type { Grant } from "../../protocol/lease.ts";
import type { TemplateName } from "../../protocol/names.ts";
import { isUsernsFile } from "../../protocol/pins.ts";
import type { UserNamespaces } from "../idmap/userns.ts";
import { hasErrno } from "../linux/call.ts";
import { unmountLazily } from "../linux/mounts.ts";
import { pidfdKill } from "../linux/processes.ts";
import type { LeaseLog } from "../records/lease-log.ts";
import type { Storage } from "../storage/storage.ts";
import { endHolder } from "./holder.ts";
import { type Granted, holderGrace, type Lessee } from "./leases.ts";

export interface EditsOptions {
  readonly storage: Storage;
  readonly namespaces: UserNamespaces;
  readonly leaseLog: LeaseLog;
  readonly clock: () => number;
  readonly log: Logger;
}

export interface Edit {
  readonly template: TemplateName;
  readonly uid: number;
  readonly pid: number;
  readonly command: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

interface Editing extends Edit {
  /** The holder's pidfd; `undefined` once it has released the edit. */
  pidfd: number | undefined;
  killedBy: number | null;
}

export type Edits = ReturnType<typeof createEdits>;

export function createEdits({ storage, namespaces, leaseLog, clock, log }: EditsOptions) {
  const edited = new Map<TemplateName, Editing>();

  async function end(template: TemplateName, view: string): Promise<void> {
    try {
      await storage.of(template).unedit(template, view);
      rmdirSync(view);
    } catch (error) {
      log.warn({ template, err: error }, "cannot unmount the edited template");
    } finally {
      const by = edited.get(template)?.killedBy ?? null;
      edited.delete(template);
      leaseLog.ended(template, by === null ? "ended" : "killed", by);
    }
  }

  return {
    /** Throws `template-edited` while another edit is open, and the storage's errors. */
    async begin(template: TemplateName, lessee: Lessee, command: string): Promise<Granted> {
      if (edited.has(template)) throw new IsolateError("template-edited", { template });
      const { pid, pidfd } = lessee;
      const editing: Editing = { template, uid: lessee.uid, pid, pidfd, command, since: clock(), killedBy: null };
      edited.set(template, editing);
      try {
        const { directory, userns, fd, uid, gid } = await namespaces.for(lessee);
        const view = join(directory, `edit.${template.replaceAll("/", ":")}`);
        mkdirSync(view, { mode: 0o700, recursive: true });
        await storage.of(template).edit(template, { userns: fd, uid, gid }, view);
        const grant: Grant = { lease: template, template, snapshot: template, view, userns, uid, gid, onDemand: false };
        leaseLog.began({
          lease: template,
          kind: "edit",
          template,
          snapshot: null,
          uid: editing.uid,
          command,
          since: editing.since,
        });
        const release = (): void => {
          editing.pidfd = undefined;
          void end(template, view);
          endHolder(lessee, lessee.pidfd, holderGrace);
        };
        return { grant, release };
      } catch (error) {
        edited.delete(template);
        throw error;
      }
    },

    list: (): Edit[] => [...edited.values()],

    /** Like `Leases.kill`; `since` distinguishes the edit from a later one of that template. */
    kill(template: TemplateName, since: number, by: number): boolean {
      const editing = edited.get(template);
      if (editing?.pidfd === undefined || editing.since !== since) return false;
      editing.killedBy = by;
      return pidfdKill(editing.pidfd);
    },
  };
}

/**
 * Unmounts everything that an earlier daemon left below `users` and that is not a lease's view. Running sandboxes have
 * their own copies of these mounts, which the storage detects.
 */
export function sweepViews(users: string, leased: ReadonlySet<string>): void {
  for (const user of readdirSync(users)) {
    for (const name of readdirSync(join(users, user))) {
      const path = join(users, user, name);
      if (isUsernsFile(name) || leased.has(path)) continue;
      try {
        unmountLazily(path);
      } catch (error) {
        if (!hasErrno(error, "EINVAL", "ENOENT")) throw error; // EINVAL: nothing is mounted there
      }
      rmdirSync(path);
    }
  }
}
