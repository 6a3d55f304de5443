/**
 * `GET /v1/lease` and `/v1/edit` with `Upgrade`: the routes whose connection outlives its answer. Fastify's hooks do
 * not run here, so this code itself applies the same route table, validator and policy, in the same order.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Logger } from "pino";
import { IsolateError, toIsolateError } from "../../protocol/errors.ts";
import { type BaseIds, readBaseIds } from "../../protocol/ids.ts";
import { leaseUpgrade, reasonHeader } from "../../protocol/lease.ts";
import { parseTemplateName } from "../../protocol/names.ts";
import { type QueryOf, routes } from "../../protocol/routes.ts";
import type { Edits } from "../leases/edits.ts";
import { killOtherEnd } from "../leases/holder.ts";
import type { Granted, Leases } from "../leases/leases.ts";
import { closeDescriptor } from "../linux/call.ts";
import type { ProcessSearch } from "../linux/process-search.ts";
import type { Pools } from "../pools/pools.ts";
import type { Metrics } from "../service/metrics.ts";
import { hasBody } from "./gate.ts";
import { refuse } from "./linger.ts";
import { descriptorOf, lesseeOf, type Peer, type Policy, peerOf } from "./peers.ts";
import type { Turns } from "./turns.ts";
import type { Validate } from "./validate.ts";

export interface LeaseSocketOptions {
  readonly leases: Leases;
  readonly edits: Edits;
  readonly pools: Pools;
  readonly policy: Policy;
  readonly validate: Validate;
  readonly observe: Pick<Metrics, "granted" | "refused">;
  readonly turns: Turns;
  readonly processes: ProcessSearch;
  /** The ids that the daemon allocates to users. */
  readonly givenIds: { readonly first: number; readonly end: number };
  readonly log: Logger;
}

const defaultWaitSeconds = 30;
/** Characters of a command that are kept, so that listings stay small. */
const mostCommand = 400;

/**
 * The connections of leases. Closing one from this side does not release the lease: a restart must not end sandboxes.
 */
export function createLeaseSockets({
  leases,
  edits,
  pools,
  policy,
  validate,
  observe,
  turns,
  processes,
  givenIds,
  log,
}: LeaseSocketOptions) {
  const open = new Set<Socket>();

  async function serve(
    request: IncomingMessage,
    socket: Socket,
    signal: AbortSignal,
    giveUp: () => void,
  ): Promise<() => void> {
    const begun = performance.now();
    const peer = peerOf(socket);
    await turns.lease(peer.uid);
    signal.throwIfAborted();
    policy.mayCall(peer, routes.lease);
    const url = targetOf(request);
    const route = [routes.lease, routes.edit].find(({ path }) => path === url.pathname);
    if (!route || request.method !== route.method || request.headers.upgrade !== leaseUpgrade) {
      throw new IsolateError("bad-request", { wrong: `${request.method} ${url.pathname} is not upgraded` });
    }
    policy.mayCall(peer, route);
    const query = Object.fromEntries(url.searchParams) as QueryOf<"lease">;
    validate(route.query, query, "the query");
    const ids = chosenIds(query, peer);
    const template = parseTemplateName(query.template);
    await pools.known(template, peer.uid === 0);
    await policy.mayLease(peer, template);
    const command = (query.command ?? "").slice(0, mostCommand);
    const lessee = lesseeOf(socket);
    const acquire = (): Promise<Granted> => {
      if (route === routes.edit) return edits.begin(template, lessee, command);
      const wait = Number(query.wait ?? defaultWaitSeconds) * 1000;
      const onWait = (reason: string) =>
        socket.write(`HTTP/1.1 102 Processing\r\n${reasonHeader}: ${headerText(reason)}\r\n\r\n`);
      const cutOff = (uid: number): void => {
        const ending = async () => killOtherEnd(descriptorOf(socket), uid, processes);
        ending()
          .then(
            (ended) => log.warn({ template, pid: peer.pid, ended }, "ended processes that outlived the client"),
            (error: unknown) => log.error({ err: error }, "cannot end processes that outlived the client"),
          )
          .finally(giveUp);
      };
      return leases.acquire({ template, lessee, ids, command, wait, signal, onWait, cutOff });
    };
    try {
      const { grant, release } = await acquire();
      const head = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${leaseUpgrade}\r\n\r\n`;
      socket.write(`${head}${JSON.stringify(grant)}\n`);
      log.debug({ lease: grant.lease, uid: peer.uid, pid: peer.pid, ms: performance.now() - begun }, "leased");
      if (route === routes.lease) observe.granted((performance.now() - begun) / 1000);
      return release;
    } catch (error) {
      closeDescriptor(lessee.pidfd);
      throw error;
    }
  }

  function chosenIds(query: QueryOf<"lease">, peer: Peer): BaseIds | undefined {
    if (query.uid === undefined && query.gid === undefined) return undefined;
    policy.mayChooseIds(peer);
    return readBaseIds(query, givenIds);
  }

  return {
    /** For the server's `upgrade` event. */
    onUpgrade(request: IncomingMessage, head: Buffer): void {
      const { socket } = request;
      const gone = new AbortController();
      let release: (() => void) | undefined;
      let ended = false;
      open.add(socket);

      function giveUp(): void {
        if (ended) return;
        ended = true;
        if (!release) gone.abort(new IsolateError("lost-daemon", { cause: "the lessee gave up" }));
        socket.destroy();
        endLease();
      }
      function endLease(): void {
        try {
          release?.();
        } catch (error) {
          log.error({ err: error }, "cannot release a lease");
        }
      }
      // Before any await, as the peer may already be gone. Its death fires only `end`, and only while the socket is
      // read.
      socket.on("error", giveUp);
      socket.on("end", giveUp);
      socket.on("close", () => open.delete(socket));
      // Any data after the request ends the lease, so a process that gets the descriptor cannot request anything.
      socket.on("data", giveUp);
      if (head.length > 0 || hasBody(request)) {
        giveUp();
        return;
      }
      const { uid } = peerOf(socket);

      serve(request, socket, gone.signal, giveUp).then(
        (granted) => {
          release = granted;
          if (ended) endLease();
        },
        (thrown: unknown) => {
          turns.refused(uid);
          if (ended) return;
          const error = toIsolateError(thrown);
          observe.refused(error.code);
          if (error.code === "internal") log.error({ err: thrown }, "cannot serve a lease");
          ended = true;
          refuse(socket, error);
        },
      );
    },
    /** For a stop of the daemon: sandboxes continue to run, and the next daemon finds their holders by pid. */
    abandon(): void {
      for (const socket of open) {
        socket.removeAllListeners("end").removeAllListeners("data").removeAllListeners("error");
        socket.on("error", () => socket.destroy());
        socket.destroy();
      }
    },
  };
}

/** Throws `bad-request` if the request's target is not a path. */
function targetOf({ method, url = "" }: IncomingMessage): URL {
  const target = url.startsWith("/") ? `http://isolate${url}` : url;
  if (!URL.canParse(target))
    throw new IsolateError("bad-request", { wrong: `${method} ${url.slice(0, 200)} is not upgraded` });
  return new URL(target);
}

function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, " ");
}
