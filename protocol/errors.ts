/**
 * Every error that isolate reports: code -> HTTP status, sentence, hint. The exit code is always 125; the command's
 * own failures (126, 127, 128+n) never pass through here. A sentence begins with "cannot", names the thing and keeps
 * the cause; the hint is the next step.
 */

/** The client's exit code if isolate itself fails, as in env(1), timeout(1) and docker-run(1). */
export const isolateFailed = 125;

interface Entry<Details> {
  readonly status: number;
  readonly message: (details: Details) => string;
  readonly hint: (details: Details) => string;
}

function entry<Details = Record<string, never>>(
  status: number,
  message: string | ((details: Details) => string),
  hint: string | ((details: Details) => string) = "",
): Entry<Details> {
  return {
    status,
    message: typeof message === "string" ? () => message : message,
    hint: typeof hint === "string" ? () => hint : hint,
  };
}

const quoted = (name: string): string => `'${name.replace(/[^\x20-\x7e]/g, "?")}'`;

const table = {
  "bad-request": entry<{ wrong: string }>(
    400,
    (d) => `cannot understand the request: ${d.wrong}`,
    "client and daemon may have different versions: compare 'isolate --version' with 'isolated --version'",
  ),
  "bad-name": entry<{ name: string; wrong: string }>(
    400,
    (d) => `cannot use the name ${quoted(d.name)}: ${d.wrong}`,
    "list the templates: isolate template ls",
  ),
  "bad-count": entry<{ count: string }>(
    400,
    (d) => `cannot keep ${quoted(d.count)} copies ready: the count must be a whole number from 0 to 100`,
    "for example: isolate -r TEMPLATE 5",
  ),
  "unknown-template": entry<{ template: string; near: readonly string[]; exists?: boolean }>(
    404,
    (d) =>
      d.exists
        ? `cannot use the dataset ${quoted(d.template)} as a template: root has not made it a template`
        : `cannot find the template ${quoted(d.template)}`,
    (d) =>
      d.near.length > 0
        ? `did you mean ${d.near.join(" or ")}?`
        : "list the templates: isolate template ls; to make a ZFS dataset a template, as root: isolate -r DATASET 5",
  ),
  "ambiguous-template": entry<{ instance: string; several: readonly string[] }>(
    409,
    (d) => `cannot choose a template for ${quoted(d.instance)}: the names of ${d.several.join(" and ")} end with it`,
    (d) =>
      `name the unit after the full template name: systemctl enable --now "isolate_regenerate@$(systemd-escape ${d.several[0]}).path"`,
  ),
  "unfit-template": entry<{ template: string; wrong: string }>(
    409,
    (d) => `cannot use ${quoted(d.template)} as a template: ${d.wrong}`,
    "a template is a ZFS filesystem below a storage pool or another dataset, such as rpool/isolate/debian",
  ),
  "no-snapshot": entry<{ template: string }>(
    409,
    (d) => `cannot clone the template ${quoted(d.template)}: it has no snapshot yet`,
    (d) => `as root: isolate template snapshot ${d.template}`,
  ),
  "not-member": entry<{ group: string; uid: number }>(
    403,
    (d) => `cannot serve user ${d.uid}: not a member of the group ${quoted(d.group)}`,
    (d) => `as root: usermod -aG ${d.group} USER; then log in again`,
  ),
  "subordinate-id": entry<{ uid: number; gid: number }>(
    403,
    (d) => `cannot serve user ${d.uid} of group ${d.gid}: one of these IDs belongs to another user's namespace`,
    "run isolate outside that namespace, as its owner; if the ID belongs to a host account, set ids.base in isolated.toml to unused IDs, as root",
  ),
  "not-root": entry<{ what: string }>(403, (d) => `cannot ${d.what}: only root may`, "run the same command with sudo"),
  "not-allowed": entry<{ template: string; uid: number }>(
    403,
    (d) =>
      `cannot use the template ${quoted(d.template)}: neither user ${d.uid} nor any of the user's groups is allowed`,
    "ask the administrator to add you to 'users' or 'groups' of that [[template]] in isolated.toml",
  ),
  "limit-reached": entry<{ limit: number; uid: number }>(
    429,
    (d) => `cannot start another sandbox: user ${d.uid} already uses ${d.limit} copies, which is the limit`,
    "end some of them (see 'isolate ps'), or ask the administrator to raise limits.leases_per_user in isolated.toml",
  ),
  "too-many-connections": entry<{ uid: number; open: number }>(
    429,
    (d) => `cannot serve another connection of user ${d.uid}: ${d.open} are open, and no more are allowed now`,
    "end some sandboxes (see 'isolate ps'), or try again in a second",
  ),
  "wait-timeout": entry<{ template: string; seconds: number; reason: string }>(
    503,
    (d) => `cannot get a copy of ${quoted(d.template)} within ${d.seconds} s: ${d.reason}`,
    "see 'isolate pool' for the last error, or wait longer with --wait SECONDS",
  ),
  "unknown-lease": entry<{ lease: string }>(
    404,
    (d) => `cannot find the sandbox ${quoted(d.lease)}: no running sandbox has that name`,
    "list your sandboxes: isolate ps",
  ),
  "ambiguous-lease": entry<{ lease: string; several: readonly string[] }>(
    409,
    (d) => `cannot choose a sandbox for ${quoted(d.lease)}: several names begin with it`,
    (d) => `type more of the name: ${d.several.slice(0, 5).join(", ")}${d.several.length > 5 ? ", ..." : ""}`,
  ),
  "lease-held": entry<{ lease: string; cause: string }>(
    409,
    (d) => `cannot remove the files of the ended sandbox ${quoted(d.lease)}: ${d.cause}`,
    "isolate retries automatically; see 'isolate pool'",
  ),
  "unknown-user": entry<{ user: string }>(
    404,
    (d) => `cannot find the user ${quoted(d.user)}`,
    "if the user was deleted, use the user ID",
  ),
  "accounts-silent": entry<{ database: string; key: string; cause: string }>(
    503,
    (d) => `cannot look up ${quoted(d.key)} among the host's accounts: ${d.cause}`,
    (d) => `run 'getent ${d.database} ${d.key}', and check the service that provides the host's accounts`,
  ),
  draining: entry(
    503,
    "cannot go on: the daemon is stopping",
    "try again when it runs again: systemctl status isolated",
  ),
  "template-exists": entry<{ template: string }>(
    409,
    (d) => `cannot create the template ${quoted(d.template)}: it already exists`,
    (d) => `choose another name, or remove it first: isolate template rm ${d.template}`,
  ),
  "template-busy": entry<{ template: string; clones: number }>(
    409,
    (d) => `cannot remove the template ${quoted(d.template)}: copies of it are in use (${d.clones})`,
    "end their sandboxes first (see 'isolate ps')",
  ),
  "template-edited": entry<{ template: string }>(
    409,
    (d) => `cannot change the template ${quoted(d.template)}: it is being edited`,
    "first end that 'isolate template edit' and every process that it started",
  ),
  "template-foreign": entry<{ template: string }>(
    409,
    (d) => `cannot remove the dataset ${quoted(d.template)}: isolate did not create it`,
    (d) => `remove its pool: isolate -r ${d.template} 0; then destroy the dataset: zfs destroy ${d.template}`,
  ),
  "bad-tar": entry<{ wrong: string }>(
    400,
    (d) => `cannot unpack the template's tar archive: ${d.wrong}`,
    "nothing was kept; check the archive: tar tf ARCHIVE",
  ),
  "storage-full": entry<{ doing: string; cause: string }>(
    507,
    (d) => `cannot ${d.doing}: the storage is full (${d.cause})`,
    "free some space, then try again; nothing was changed",
  ),
  "storage-failed": entry<{ doing: string; cause: string }>(
    500,
    (d) => `cannot ${d.doing}: ${d.cause}`,
    "see the whole command in the daemon's log: journalctl -u isolated",
  ),
  "key-not-loaded": entry<{ doing: string; root: string }>(
    503,
    (d) => `cannot ${d.doing}: the key of ${quoted(d.root)} is not loaded`,
    (d) => `as root: zfs load-key ${d.root}`,
  ),
  "clone-busy": entry<{ clone: string; cause: string }>(
    409,
    (d) => `cannot destroy the clone ${quoted(d.clone)} yet: ${d.cause}`,
    "isolate retries until the clone is free",
  ),
  "clone-blocked": entry<{ clone: string; cause: string; fix: string }>(
    409,
    (d) => `cannot destroy the clone ${quoted(d.clone)}: ${d.cause}`,
    (d) => `as root: ${d.fix}; isolate then destroys the clone`,
  ),
  "clone-gone": entry<{ clone: string }>(
    500,
    (d) => `cannot mount the clone ${quoted(d.clone)}: it is gone from the storage`,
    "another program removed it; the pool makes a new one",
  ),
  "unsupported-host": entry<{ what: string; fix: string }>(
    500,
    (d) => `cannot serve on this host: ${d.what}`,
    (d) => d.fix,
  ),
  "bad-config": entry<{ file: string; line: number; wrong: string }>(
    400,
    (d) => `cannot use the configuration ${d.file}, line ${d.line}: ${d.wrong}`,
    "fix the line, then start the daemon again",
  ),
  "cannot-start": entry<{ wrong: string; fix: string }>(
    500,
    (d) => `cannot start: ${d.wrong}`,
    (d) => d.fix,
  ),
  internal: entry<{ cause: string }>(
    500,
    (d) => `cannot go on: ${d.cause}`,
    "this is a bug in isolate: please report it with the daemon's log (journalctl -u isolated)",
  ),

  // The client's own errors.
  usage: entry<{ wrong: string }>(400, (d) => `cannot understand the command line: ${d.wrong}`, "see 'isolate --help'"),
  "missing-template": entry(
    400,
    "cannot run: missing template or zfs template",
    "give one: isolate -z TEMPLATE COMMAND, or isolate -t DIRECTORY COMMAND",
  ),
  "missing-command": entry(400, "cannot run: missing command", "give one after the options: isolate -z TEMPLATE bash"),
  "not-running": entry<{ socket: string; cause: string }>(
    503,
    (d) => `cannot reach the daemon at ${d.socket}: ${d.cause}`,
    "start it: sudo systemctl start isolated.socket (without systemd: sudo isolated)",
  ),
  "socket-forbidden": entry<{ socket: string }>(
    403,
    (d) => `cannot reach the daemon at ${d.socket}: you are not in its group`,
    "as root: usermod -aG isolate USER; then log in again",
  ),
  "lost-daemon": entry<{ cause: string }>(
    503,
    (d) => `cannot go on: the daemon closed the connection (${d.cause})`,
    "see the daemon's log (journalctl -u isolated), then try again",
  ),
  "missing-program": entry<{ program: string; package: string }>(
    500,
    (d) => `cannot run: ${d.program} is not installed`,
    (d) => `install it: apt-get install ${d.package}`,
  ),
  "missing-protection": entry<{ what: string }>(
    500,
    (d) => `cannot run without protection: ${d.what}`,
    "reinstall isolate",
  ),
  "bad-bind": entry<{ bind: string; wrong: string }>(
    400,
    (d) => `cannot bind ${quoted(d.bind)}: ${d.wrong}`,
    "write it as HOST:CTR[:ro], where CTR is an absolute path",
  ),
  "bad-environment": entry<{ variable: string; wrong: string }>(
    400,
    (d) => `cannot set ${quoted(d.variable)}: ${d.wrong}`,
    "write it as NAME:VALUE",
  ),
  "bad-limit": entry<{ what: string; value: string; wrong: string }>(
    400,
    (d) => `cannot limit the sandbox: ${d.what} ${quoted(d.value)} ${d.wrong}`,
    "for example: --cpus 0.5 --memory 512M --pids 100",
  ),
  "cannot-limit": entry<{ wrong: string }>(
    500,
    (d) => `cannot limit the sandbox: ${d.wrong}`,
    "log in through a systemd session (loginctl enable-linger USER keeps one), or omit the limits",
  ),
  "cannot-boot": entry<{ wrong: string; fix: string }>(
    500,
    (d) => `cannot run with the engine 'lxc': ${d.wrong}`,
    (d) => d.fix,
  ),
  "no-private-network": entry<{ wrong: string; fix: string }>(
    500,
    (d) => `cannot give the sandbox a private network: ${d.wrong}`,
    (d) => d.fix,
  ),
  "cannot-share": entry<{ what: string; wrong: string; fix: string }>(
    500,
    (d) => `cannot share ${d.what}: ${d.wrong}`,
    (d) => d.fix,
  ),
  "bad-ids": entry<{ option: string; value: string; wrong: string }>(
    400,
    (d) => `cannot map IDs with ${d.option} ${quoted(d.value)}: ${d.wrong}`,
    "use the first of 65,536 unused host IDs, such as -u 1000000",
  ),
  "terminal-of-others": entry<{ uid: number }>(
    400,
    (d) => `cannot map IDs with -u ${d.uid} on a terminal: host users with these IDs could read it and type into it`,
    "use unused IDs, such as -u 1000000, or no terminal: </dev/null 2>&1 | cat",
  ),
  "bad-filter": entry<{ file: string; wrong: string }>(
    400,
    (d) => `cannot use the seccomp filter ${quoted(d.file)}: ${d.wrong}`,
    "use a compiled filter: an array of struct sock_filter, as written by seccomp_export_bpf(3)",
  ),
  "bad-source": entry<{ source: string; wrong: string }>(
    400,
    (d) => `cannot make a template from ${d.source}: ${d.wrong}`,
    "nothing was kept; fix the source, then try again",
  ),
  "bad-start": entry<{ directory: string; wrong: string }>(
    400,
    (d) => `cannot start in ${quoted(d.directory)} of the root filesystem: ${d.wrong}`,
    "choose a directory that exists there, or that -d creates",
  ),
  "bad-root": entry<{ directory: string; wrong: string }>(
    400,
    (d) => `cannot use ${quoted(d.directory)} as a root filesystem: ${d.wrong}`,
    "choose the directory of a Linux root filesystem, with bin, etc and usr",
  ),
  "system-call": entry<{ call: string; cause: string }>(
    500,
    (d) => `cannot prepare the sandbox: ${d.call}: ${d.cause}`,
    "see the kernel's reason: dmesg",
  ),
} as const;

type Table = typeof table;
export type ErrorCode = keyof Table;
export const errorCodes = Object.keys(table) as ErrorCode[];
export type ErrorDetails<Code extends ErrorCode> = Table[Code] extends Entry<infer Details> ? Details : never;

/** An error as it crosses the socket and as the client prints it. */
export interface ErrorBody {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** An error for the user. Its message is one whole sentence. */
export class IsolateError<Code extends ErrorCode = ErrorCode> extends Error {
  readonly code: Code;
  readonly hint: string;
  readonly status: number;

  constructor(code: Code, details: ErrorDetails<Code>, cause?: unknown) {
    const { message, hint, status } = table[code] as unknown as Entry<ErrorDetails<Code>>;
    super(message(details), cause === undefined ? undefined : { cause });
    this.name = "IsolateError";
    this.code = code;
    this.hint = hint(details);
    this.status = status;
  }

  body(): ErrorBody {
    return { code: this.code, message: this.message, hint: this.hint };
  }
}

/** Returns any thrown value as an error for the user; `internal` if it is not one already. */
export function toIsolateError(thrown: unknown): IsolateError {
  if (thrown instanceof IsolateError) return thrown;
  return new IsolateError("internal", { cause: thrown instanceof Error ? thrown.message : String(thrown) }, thrown);
}
