/** The daemon's routes as a typed client. Loads the schema library, so a run must not import it. */
import { decodeText, encodeBytes, joinBytes } from "../../protocol/bytes.ts";
import { IsolateError } from "../../protocol/errors.ts";
import { Refusal, readErrorBody } from "../../protocol/refusal.ts";
import { type BodyOf, type QueryOf, type ReplyOf, type Route, type RouteName, routes } from "../../protocol/routes.ts";
import { connectTo, sendRequest } from "../run/lease.ts";
import { SystemCallError } from "../run/linux/call.ts";
import type { Libc } from "../run/linux/libc.ts";

/** A lease, a template's tar and text use other exchanges. */
type PlainRoute = Exclude<RouteName, "lease" | "createTemplate" | "metrics">;
type Ask<Name extends PlainRoute> = (keyof QueryOf<Name> extends never
  ? { query?: QueryOf<Name> }
  : { query: QueryOf<Name> }) &
  (BodyOf<Name> extends undefined ? { body?: undefined } : { body: BodyOf<Name> });

export interface Api {
  /** Throws `not-running`, `socket-forbidden`, `lost-daemon`, and `Refusal` if the daemon refuses. */
  call<Name extends PlainRoute>(name: Name, ask: Ask<Name>): Promise<ReplyOf<Name>>;
}

export function createApi(socket: string, libc: Libc): Api {
  return {
    async call(name, ask) {
      const { method, path }: Route = routes[name];
      const query = new URLSearchParams((ask.query ?? {}) as Record<string, string>).toString();
      const target = query === "" ? path : `${path}?${query}`;
      return readReply(exchange(socket, plainRequest(`${method} ${target}`, ask.body), libc)) as ReplyOf<typeof name>;
    },
  };
}

function plainRequest(line: string, body: unknown): string {
  const text = body === undefined ? "" : JSON.stringify(body);
  const content = ["Content-Type: application/json", `Content-Length: ${encodeBytes(text).length}`];
  const fields = ["Host: isolate", "Connection: close", ...(body === undefined ? [] : content)];
  return [`${line} HTTP/1.1`, ...fields, "", text].join("\r\n");
}

/**
 * Blocks and uses system calls, as for a lease: a blocking connect(2) waits for its turn if many clients connect, and
 * an answer can be read even if the daemon has closed the connection before the request. The runtimes do neither.
 */
function exchange(socket: string, request: string, libc: Libc): Uint8Array {
  const descriptor = connectTo(socket, libc);
  try {
    sendRequest(descriptor, request, libc);
    const parts: Uint8Array[] = [];
    for (;;) {
      const buffer = new Uint8Array(64 * 1024);
      const length = libc.read(descriptor, buffer);
      if (length === 0) return joinBytes(parts);
      parts.push(buffer.subarray(0, length));
      if (isWhole(parts)) return joinBytes(parts);
    }
  } catch (error) {
    throw error instanceof SystemCallError ? new IsolateError("lost-daemon", { cause: error.errno }, error) : error;
  } finally {
    libc.close(descriptor);
  }
}

interface Reply {
  readonly status: number;
  readonly text: string;
}

/** Whether the answer is complete: the daemon sends the length of each answer. */
function isWhole(parts: readonly Uint8Array[]): boolean {
  const head = headOf(parts[0] ?? new Uint8Array(0));
  return head !== undefined && parts.reduce((sum, { length }) => sum + length, 0) >= head.end + head.length;
}

/** Parses the header; returns `undefined` if it is incomplete. */
function headOf(
  bytes: Uint8Array,
): { readonly status: number; readonly end: number; readonly length: number } | undefined {
  const text = decodeText(bytes.subarray(0, 16 * 1024));
  const end = text.indexOf("\r\n\r\n");
  const status = /^HTTP\/1\.1 ([0-9]{3}) /.exec(text)?.[1];
  const length = /\r\ncontent-length: *([0-9]+)\r\n/i.exec(text.slice(0, end + 2))?.[1];
  if (end < 0 || status === undefined || length === undefined) return undefined;
  return { status: Number(status), end: end + 4, length: Number(length) };
}

/** Returns the parsed body. Throws `lost-daemon` and `Refusal`. */
function readReply(bytes: Uint8Array): unknown {
  const { status, text } = readHttp(bytes);
  if (status < 200 || status >= 300) {
    const body = readErrorBody(text);
    throw body ? new Refusal(body) : new IsolateError("lost-daemon", { cause: `it answered HTTP ${status}` });
  }
  if (text === "") return {};
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new IsolateError("lost-daemon", { cause: "its answer is not JSON" }, error);
  }
}

function readHttp(bytes: Uint8Array): Reply {
  const head = headOf(bytes);
  if (!head || bytes.length < head.end + head.length) {
    throw new IsolateError("lost-daemon", { cause: "before its answer was complete" });
  }
  return { status: head.status, text: decodeText(bytes.subarray(head.end, head.end + head.length)) };
}
