/** The lease protocol as bytes: writes the request, and reads the answers from pieces of any size. Pure. */

import { decodeText, joinBytes } from "../../protocol/bytes.ts";
import type { ErrorBody } from "../../protocol/errors.ts";
import type { BaseIds } from "../../protocol/ids.ts";
import { editPath, type Grant, leasePath, leaseUpgrade, reasonHeader } from "../../protocol/lease.ts";
import { readErrorBody } from "../../protocol/refusal.ts";

export type Answer =
  | { readonly kind: "waiting"; readonly reason: string }
  | { readonly kind: "granted"; readonly grant: Grant }
  | { readonly kind: "refused"; readonly error: ErrorBody }
  /** Not an answer of isolated; nothing more can be read. */
  | { readonly kind: "garbled"; readonly wrong: string };

export interface AnswerReader {
  /** Returns the answers that these bytes complete, in order. Only `waiting` is followed by further answers. */
  feed(bytes: Uint8Array): Answer[];
}

const maximumHead = 16 * 1024;
const maximumBody = 256 * 1024;
const shownCommand = 400;
const carriageReturn = 13;
const lineFeed = 10;

export interface Ask {
  readonly template: string;
  /** The template itself instead of a clone. */
  readonly edit: boolean;
  /** Seconds. */
  readonly wait: string | undefined;
  readonly ids: BaseIds | undefined;
  readonly command: readonly string[];
}

export function leaseRequest(ask: Ask): string {
  // Only for `isolate ps`. It must fit in a header even when escaped.
  const command = ask.command.join(" ").slice(0, shownCommand).toWellFormed();
  const fields: [string, string][] = [
    ["template", ask.template.toWellFormed()],
    ["command", command],
  ];
  if (ask.wait !== undefined) fields.push(["wait", ask.wait]);
  if (ask.ids) fields.push(["uid", String(ask.ids.uid)], ["gid", String(ask.ids.gid)]);
  const query = fields.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  const lines = [
    `GET ${ask.edit ? editPath : leasePath}?${query} HTTP/1.1`,
    "Host: isolate",
    "Connection: Upgrade",
    `Upgrade: ${leaseUpgrade}`,
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

interface Head {
  /** 0 if the answer is not HTTP. */
  readonly status: number;
  readonly lines: readonly string[];
}

export function createAnswerReader(): AnswerReader {
  let pending: Uint8Array = new Uint8Array(0);
  let head: Head | undefined;
  let ended = false;

  function next(): Answer | undefined {
    head ??= takeHead();
    if (!head) return pending.length > maximumHead ? garbled("its header does not end") : undefined;
    const { status, lines } = head;
    if (status === 102) {
      head = undefined;
      return { kind: "waiting", reason: header(lines, reasonHeader) ?? "" };
    }
    if (status === 101) return takeGrant();
    return takeError(status, Number(header(lines, "Content-Length") ?? "0"));
  }

  function takeHead(): Head | undefined {
    const end = endOfHead(pending);
    if (end < 0 || end > maximumHead) return undefined;
    const [first = "", ...lines] = decodeText(pending.subarray(0, end)).split("\r\n");
    if (!first.startsWith("HTTP/1.1 ")) return { status: 0, lines };
    pending = pending.subarray(end + 4);
    return { status: Number(first.slice(9, 12)) || 0, lines };
  }

  function takeGrant(): Answer | undefined {
    const end = pending.indexOf(lineFeed);
    if (end < 0) return pending.length > maximumBody ? garbled("its grant does not end") : undefined;
    if (end !== pending.length - 1) return garbled("something follows its grant");
    const grant = readGrant(parseJson(decodeText(pending.subarray(0, end))));
    return grant ? { kind: "granted", grant } : garbled("its grant cannot be understood");
  }

  function takeError(status: number, length: number): Answer | undefined {
    if (!(length >= 0 && length <= maximumBody)) return garbled(`it answered HTTP ${status} of impossible length`);
    if (pending.length < length) return undefined;
    const error = status >= 400 ? readErrorBody(decodeText(pending.subarray(0, length))) : undefined;
    return error
      ? { kind: "refused", error }
      : garbled(status === 0 ? "it does not speak HTTP" : `it answered HTTP ${status}`);
  }

  function garbled(wrong: string): Answer {
    return { kind: "garbled", wrong };
  }

  return {
    feed(bytes) {
      pending = joinBytes([pending, bytes]);
      const answers: Answer[] = [];
      while (!ended) {
        const answer = next();
        if (!answer) break;
        answers.push(answer);
        ended = answer.kind !== "waiting";
      }
      return answers;
    },
  };
}

/** Returns the index of the first empty line, including the end of the line before it; -1 if there is none. */
function endOfHead(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(carriageReturn); at >= 0; at = bytes.indexOf(carriageReturn, at + 1)) {
    if (bytes[at + 1] === lineFeed && bytes[at + 2] === carriageReturn && bytes[at + 3] === lineFeed) return at;
  }
  return -1;
}

function header(lines: readonly string[], name: string): string | undefined {
  const start = `${name.toLowerCase()}:`;
  return lines
    .find((line) => line.toLowerCase().startsWith(start))
    ?.slice(start.length)
    .trim();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the grant; `undefined` if the value is not a grant. */
export function readGrant(parsed: unknown): Grant | undefined {
  const value = parsed as Partial<Record<keyof Grant, unknown>> | null | undefined;
  if (typeof value !== "object" || value === null) return undefined;
  const { lease, template, snapshot, view, userns, uid, gid, onDemand } = value;
  if (!isName(lease) || !isName(template) || !isName(snapshot)) return undefined;
  if (!isPath(view) || !isPath(userns)) return undefined;
  if (!isUnprivileged(uid) || !isUnprivileged(gid)) return undefined;
  return { lease, template, snapshot, view, userns, uid, gid, onDemand: onDemand === true };
}

const isName = (value: unknown): value is string => typeof value === "string" && value !== "";
const isPath = (value: unknown): value is string => typeof value === "string" && value.startsWith("/");
/** A sandbox must never run as the host's root. */
const isUnprivileged = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0;
