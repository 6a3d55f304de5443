/** The daemon's routes as a typed client. Loads the schema library and node:http: not for the path of a run. */
import { type IncomingMessage, request as httpRequest } from "node:http";
import type { Readable } from "node:stream";
import { IsolateError } from "../daemon/protocol/errors.ts";
import { type BodyOf, type QueryOf, type ReplyOf, type Route, type RouteName, type Routes, routes } from "../daemon/protocol/routes.ts";
import { Refusal, readErrorBody } from "./refusal.ts";
import { unreachable } from "./unreachable.ts";

type Body<Name extends RouteName> = Routes[Name] extends { body: "tar" } ? Readable : BodyOf<Name>;
type Ask<Name extends RouteName> = (keyof QueryOf<Name> extends never ? { query?: QueryOf<Name> } : { query: QueryOf<Name> }) &
  (Body<Name> extends undefined ? { body?: undefined } : { body: Body<Name> });

export interface Api {
  /** Throws `not-running`, `socket-forbidden`, `lost-daemon`, and `Refusal` when the daemon says no. */
  call<Name extends Exclude<RouteName, "lease">>(name: Name, ask: Ask<Name>): Promise<ReplyOf<Name>>;
}

export function createApi(socket: string): Api {
  return {
    async call(name, ask) {
      const { method, path, body: kind }: Route = routes[name];
      const query = new URLSearchParams((ask.query ?? {}) as Record<string, string>).toString();
      const response = await send({ socket, method, path: query === "" ? path : `${path}?${query}`, kind, body: ask.body });
      return (await readReply(response)) as ReplyOf<typeof name>;
    },
  };
}

interface Sending {
  readonly socket: string;
  readonly method: string;
  readonly path: string;
  readonly kind: Route["body"];
  readonly body: unknown;
}

function send({ socket, method, path, kind, body }: Sending): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const type = kind === "tar" ? "application/x-tar" : "application/json";
    const headers = kind === undefined ? {} : { "content-type": type };
    const request = httpRequest({ socketPath: socket, method, path, headers }, resolve);
    request.on("error", (error: NodeJS.ErrnoException) => reject(sendError(socket, error)));
    if (kind === "tar") {
      const stream = body as Readable;
      // A tar cut short must not look whole: without its end the daemon keeps nothing of it.
      stream.on("error", (error) => {
        request.destroy();
        reject(error);
      });
      stream.pipe(request);
    } else if (kind !== undefined) request.end(JSON.stringify(body));
    else request.end();
  });
}

function sendError(socket: string, error: NodeJS.ErrnoException): Error {
  if (error.syscall === "connect" || error.code === "ENOENT" || error.code === "ECONNREFUSED") {
    return unreachable(socket, error.code ?? error.message, error);
  }
  // Bun's words for a socket that is not there.
  if (error.code === "FailedToOpenSocket" || error.code === "ConnectionRefused") return unreachable(socket, "ECONNREFUSED", error);
  return new IsolateError("lost-daemon", { cause: error.message }, error);
}

async function readReply(response: IncomingMessage): Promise<unknown> {
  const text = await readText(response);
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) {
    if (text === "") return {};
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw new IsolateError("lost-daemon", { cause: "its answer is not JSON" }, error);
    }
  }
  const body = readErrorBody(text);
  throw body ? new Refusal(body) : new IsolateError("lost-daemon", { cause: `it answered HTTP ${status}` });
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(Buffer.from(chunk as Uint8Array));
  } catch (error) {
    throw new IsolateError("lost-daemon", { cause: error instanceof Error ? error.message : String(error) }, error);
  }
  return Buffer.concat(chunks).toString("utf8");
}
