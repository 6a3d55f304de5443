/** `isolate log`. */
import type { Log, LogEntry, LogQuery } from "../../../protocol/schema.ts";
import { usage } from "../../run/options/arguments.ts";
import type { CommandRequest } from "../../run/options/requests.ts";
import type { Print } from "../../run/report/print.ts";
import type { Api } from "../api.ts";
import { duration, localTime, readMoment } from "./quantities.ts";

const ends: readonly string[] = ["running", "ended", "killed", "cut-off", "lost"];
const usualLimit = "50";
const mostEntries = 10_000;

export async function log({ json, values }: CommandRequest, api: Api, print: Print): Promise<void> {
  const now = Date.now();
  const { entries, unsaved } = await readAll(readQuery(values, now), api);
  if (unsaved > 0) {
    const several = unsaved === 1 ? "entry is" : "entries are";
    print.warn(
      `${unsaved} ${several} not shown: the daemon could not write to the disk yet`,
      "see the daemon's log (journalctl -u isolated) and the free space on its disk",
    );
  }
  if (json) return print.json(entries);
  print.table(
    ["BEGUN", "DURATION", "USER", "TEMPLATE", "SNAPSHOT", "END", "LEASE", "COMMAND"],
    entries.map((entry) => [
      localTime(entry.since),
      duration((entry.until === null ? now : Date.parse(entry.until)) - Date.parse(entry.since)),
      entry.user,
      entry.template,
      entry.kind === "edit" ? "(edit)" : entry.snapshot,
      endOf(entry),
      entry.lease,
      entry.command,
    ]),
  );
}

/** Reads all parts of the daemon's answer. */
async function readAll(query: LogQuery, api: Api): Promise<Pick<Log, "entries" | "unsaved">> {
  const entries: LogEntry[] = [];
  const wanted = Number(query.limit);
  let part: Log = { entries, unsaved: 0, next: null };
  do {
    const cursor = part.next ? { cursor: part.next } : {};
    part = await api.call("log", { query: { ...query, ...cursor, limit: String(wanted - entries.length) } });
    entries.push(...part.entries);
  } while (part.next && entries.length < wanted);
  return { entries, unsaved: part.unsaved };
}

/** Throws `usage`. */
export function readQuery(values: CommandRequest["values"], now: number): LogQuery {
  const { user, template, end, since, until, limit = usualLimit } = values;
  if (end !== undefined && !ends.includes(end)) throw usage(`--end needs one of ${ends.join(", ")}, not '${end}'`);
  if (!/^[1-9][0-9]{0,4}$/.test(limit) || Number(limit) > mostEntries) {
    throw usage(`--limit needs a whole number from 1 to ${mostEntries}, not '${limit}'`);
  }
  if (user === "" || template === "") throw usage(`--${user === "" ? "user" : "template"} is empty`);
  return {
    ...(user === undefined ? {} : { user }),
    ...(template === undefined ? {} : { template }),
    ...(end === undefined ? {} : { end: end as NonNullable<LogQuery["end"]> }),
    ...(since === undefined ? {} : { since: readMoment(since, "--since", now) }),
    ...(until === undefined ? {} : { until: readMoment(until, "--until", now) }),
    limit,
  };
}

function endOf({ end, by }: LogEntry): string {
  if (end === null) return "running";
  return by === null ? end : `${end} by ${by}`;
}
