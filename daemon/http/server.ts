/** Serves the route table with fastify on the Unix socket. */
import { chmodSync, chownSync, rmSync } from "node:fs";
import { createServer as createHttpServer, type Server } from "node:http";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import Fastify, { type FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { IsolateError, toIsolateError } from "../../protocol/errors.ts";
import { type Route, type RouteName, routes } from "../../protocol/routes.ts";
import { type Gate, hasBody } from "./gate.ts";
import type { Handlers } from "./handlers.ts";
import { refuse } from "./linger.ts";
import { type Policy, peerOf } from "./peers.ts";
import type { Validate } from "./validate.ts";

export interface ServerOptions {
  readonly handlers: Handlers;
  readonly policy: Policy;
  readonly validate: Validate;
  readonly gate: Gate;
  readonly log: Logger;
}

export function createServer({ handlers, policy, validate, gate, log }: ServerOptions): FastifyInstance {
  const app = Fastify({
    logger: false,
    bodyLimit: 64 * 1024,
    forceCloseConnections: "idle",
    // A stopping daemon answers with the error of the table instead.
    return503OnClosing: false,
    // Milliseconds for a request's headers. Its body has no limit, as a template is large.
    serverFactory: (handle) =>
      createHttpServer(
        // Node would answer a request without Host, or with an unknown Expect, past the gate.
        { headersTimeout: 10_000, connectionsCheckingInterval: 2_000, requestTimeout: 0, requireHostHeader: false },
        (request, response) => gate.request(request, response, () => handle(request, response)),
      ).on("checkExpectation", (request, response) =>
        gate.request(request, response, () => response.writeHead(417, { connection: "close" }).end()),
      ),
    clientErrorHandler: (error, socket) => {
      const wrong = `it is not valid HTTP (${error.code ?? error.message})`;
      const tooLong = error.code === "HPE_HEADER_OVERFLOW" ? 431 : undefined;
      refuse(socket as Socket, new IsolateError("bad-request", { wrong }), tooLong);
    },
  });
  app.addContentTypeParser("application/x-tar", (_request, payload, done) => done(null, detached(payload)));
  // After the routes' own refusals, which are more specific.
  app.addHook("preParsing", async (request) => {
    if (hasBody(request.raw) && peerOf(request.raw.socket).uid !== 0) {
      throw new IsolateError("bad-request", { wrong: `a member's ${request.method} request must not have a body` });
    }
  });
  app.addHook("onSend", async (request, reply) => {
    // The rest of the body is not read: see linger.ts.
    if (!request.raw.complete) reply.header("connection", "close");
  });
  app.setNotFoundHandler((request) => {
    throw new IsolateError("bad-request", { wrong: `there is no ${request.method} ${request.url.slice(0, 200)}` });
  });
  app.setErrorHandler((thrown, _request, reply) => {
    const status = (thrown as { statusCode?: number }).statusCode;
    const known = thrown instanceof IsolateError || status === undefined || status >= 500;
    const error = known
      ? toIsolateError(thrown)
      : new IsolateError("bad-request", { wrong: (thrown as Error).message });
    if (error.status >= 500) log.error({ err: thrown }, "cannot serve a request");
    return reply.status(error.status).send(error.body());
  });

  for (const [name, route] of Object.entries(routes) as [RouteName, Route][]) {
    const handle = (handlers as Partial<Record<RouteName, (call: never) => Promise<unknown>>>)[name];
    if (!handle) continue;
    app.route({
      method: route.method,
      url: route.path,
      // Before the body is read, so that a stranger's upload is refused at its first byte.
      onRequest: async (request) => policy.mayCall(peerOf(request.raw.socket), route),
      handler: async (request, reply) => {
        validate(route.query, { ...(request.query as object) }, "the query");
        if (route.body && route.body !== "tar") validate(route.body, request.body, "the body");
        if (route.body === "tar" && request.headers["content-type"] !== "application/x-tar") {
          throw new IsolateError("bad-request", { wrong: "the body must be application/x-tar" });
        }
        const { query, body } = request;
        const result = await handle({ peer: peerOf(request.raw.socket), query, body } as never);
        if (route.reply === "metrics") return reply.type("text/plain; version=0.0.4; charset=utf-8").send(result);
        return reply.type("application/json").send(JSON.stringify(result));
      },
    });
  }
  return app;
}

/** A body whose reader may stop early. That must not end the connection, which still carries the answer. */
function detached(payload: Readable): Readable {
  return Readable.from(payload.iterator({ destroyOnReturn: false }));
}

/**
 * Listens at `path`, which only root and the group can access, or on the socket `inherited` from systemd
 * (sd_listen_fds(3)). The caller holds the lock of the state directory, so an existing socket at `path` is stale.
 */
export async function listen(server: Server, path: string, gid: number, inherited: number | undefined): Promise<void> {
  if (inherited === undefined) rmSync(path, { force: true });
  const umask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(inherited === undefined ? { path } : { fd: inherited }, resolve);
    });
  } catch (error) {
    const wrong = `cannot listen on ${path}: ${(error as Error).message}`;
    throw new IsolateError("cannot-start", { wrong, fix: "choose another --socket" }, error);
  } finally {
    process.umask(umask);
  }
  if (inherited !== undefined) return;
  chownSync(path, 0, gid);
  chmodSync(path, 0o660);
}
