/** The daemon's routes as a typed client. Loads the schema library and node:http: not for the path of a run. */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { IsolateError } from "../../protocol/errors.ts";
import { Refusal, readErrorBody } from "../../protocol/refusal.ts";
import { type BodyOf, type QueryOf, type ReplyOf, type Route, type RouteName, routes } from "../../protocol/routes.ts";
import { unreachable } from "../../protocol/unreachable.ts";

/** A lease, a template's tar and text are exchanges of their own. */
type PlainRoute = Exclude<RouteName, "lease" | "createTemplate" | "metrics">;
type Ask<Name extends PlainRoute> = (keyof QueryOf<Name> extends never
  ? { query?: QueryOf<Name> }
  : { query: QueryOf<Name> }) &
  (BodyOf<Name> extends undefined ? { body?: undefined } : { body: BodyOf<Name> });

export interface Api {
  /** Throws `not-running`, `socket-forbidden`, `lost-daemon`, and `Refusal` when the daemon says no. */
  call<Name extends PlainRoute>(name: Name, ask: Ask<Name>): Promise<ReplyOf<Name>>;
}

export function createApi(socket: string): Api {
  return {
    async call(name, ask) {
      const { method, path }: Route = routes[name];
      const query = new URLSearchParams((ask.query ?? {}) as Record<string, string>).toString();
      const response = await send({ socket, method, path: query === "" ? path : `${path}?${query}`, body: ask.body });
      return (await readReply(response)) as ReplyOf<typeof name>;
    },
  };
}

interface Sending {
  readonly socket: string;
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

function send({ socket, method, path, body }: Sending): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const request = httpRequest({ socketPath: socket, method, path, headers }, resolve);
    request.on("error", (error: NodeJS.ErrnoException) => reject(connectionError(socket, error)));
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Why there is no answer. */
function connectionError(socket: string, error: NodeJS.ErrnoException): Error {
  if (error.syscall === "connect" || error.code === "ENOENT" || error.code === "ECONNREFUSED") {
    return unreachable(socket, error.code ?? error.message, error);
  }
  // Bun's words for a socket that is not there.
  if (error.code === "FailedToOpenSocket" || error.code === "ConnectionRefused")
    return unreachable(socket, "ECONNREFUSED", error);
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
  throw refusal(status, text);
}

/** What an answer that is not a success means. */
function refusal(status: number, text: string): Error {
  const body = readErrorBody(text);
  return body ? new Refusal(body) : new IsolateError("lost-daemon", { cause: `it answered HTTP ${status}` });
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
