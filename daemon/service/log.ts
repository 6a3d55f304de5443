/** The daemon's log: pretty on a terminal, JSON otherwise, with journal priorities under systemd (sd-daemon(3)). */
import { fstatSync, writeSync } from "node:fs";
import { type Logger, pino } from "pino";
import pretty from "pino-pretty";

const stderr = 2;

export function createLog(level: string): Logger {
  const options = { level, base: null, serializers: { err: describe } };
  if (process.stderr.isTTY) {
    return pino(
      options,
      pretty({ destination: stderr, sync: true, ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss" }),
    );
  }
  const journal = writesToJournal();
  return pino(options, {
    write(line: string) {
      writeSync(stderr, journal ? `<${priority(line)}>${line}` : line);
    },
  });
}

/** An error with its causes, and the stack if the error is unexpected. */
function describe(thrown: unknown): object {
  if (!(thrown instanceof Error)) return { message: String(thrown) };
  const { name, message, cause, stack } = thrown;
  const code = (thrown as { code?: string }).code;
  return {
    name,
    message,
    ...(code === undefined ? {} : { code }),
    ...(cause === undefined ? {} : { cause: describe(cause) }),
    ...(name === "IsolateError" && code !== "internal" ? {} : { stack }),
  };
}

/** `JOURNAL_STREAM` holds the device and inode of the journal's stream, systemd.exec(5). */
function writesToJournal(): boolean {
  const { dev, ino } = fstatSync(stderr);
  return process.env.JOURNAL_STREAM === `${dev}:${ino}`;
}

/** Maps pino's levels to those of syslog(3). */
function priority(line: string): number {
  const level = Number(/^\{"level":([0-9]+)/.exec(line)?.[1] ?? 30);
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  if (level >= 30) return 6;
  return 7;
}
