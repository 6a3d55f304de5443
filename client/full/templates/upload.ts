/** `POST /v1/templates`: the only request whose body is a stream that may fail halfway. */
import { once } from "node:events";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { IsolateError } from "../../../protocol/errors.ts";
import { routes } from "../../../protocol/routes.ts";
import { unreachable } from "../../../protocol/unreachable.ts";

/** Bun's error codes. */
const connectErrors: Readonly<Record<string, string>> = {
  FailedToOpenSocket: "ECONNREFUSED",
  ConnectionRefused: "ECONNREFUSED",
};

export interface Reply {
  readonly status: number;
  readonly text: string;
}

export interface Upload {
  /** Resolves when the daemon has the request and waits for its body. */
  readonly connected: Promise<void>;
  /**
   * May arrive before the body is complete: the daemon refuses as early as it can. Rejects if the connection breaks.
   */
  readonly reply: Promise<Reply>;
  /** Returns when there is room for more, or when a reply has arrived. */
  write(chunk: Uint8Array): Promise<void>;
  finish(): void;
  /** Closes the connection, so that the daemon sees an incomplete body and keeps nothing. */
  abort(): void;
}

export function openUpload(socketPath: string, template: string): Upload {
  const { method, path } = routes.createTemplate;
  const request = httpRequest({
    socketPath,
    method,
    path: `${path}?${new URLSearchParams({ template })}`,
    headers: { "content-type": "application/x-tar" },
    agent: false,
  });
  const connected = connection(request, socketPath);
  const reply = readReply(request);
  connected.catch(() => {});
  reply.catch(() => {});
  request.flushHeaders();
  return {
    connected,
    reply,
    write: async (chunk) => {
      if (request.destroyed || request.write(chunk)) return;
      const given = new AbortController();
      const drained = once(request, "drain", { signal: given.signal });
      await Promise.race([drained, reply])
        .catch(() => reply) // it may say why the daemon stopped reading
        .finally(() => given.abort());
    },
    finish: () => request.end(),
    abort: () => request.destroy(),
  };
}

async function connection(request: ClientRequest, socketPath: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    request.once("error", (error: NodeJS.ErrnoException) => {
      reject(unreachable(socketPath, connectErrors[error.code ?? ""] ?? error.code ?? error.message, error));
    });
    request.once("socket", (socket) => {
      if (socket.connecting) socket.once("connect", resolve);
      else resolve();
    });
  });
}

/** Milliseconds: Bun may report a broken pipe before an answer that arrived earlier. */
const replyGrace = 500;

async function readReply(request: ClientRequest): Promise<Reply> {
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      request.on("error", (error) => setTimeout(reject, replyGrace, error));
    });
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    return { status: response.statusCode ?? 0, text };
  } catch (error) {
    throw new IsolateError("lost-daemon", { cause: (error as Error).message }, error);
  }
}
