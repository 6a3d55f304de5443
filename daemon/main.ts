/** Builds the daemon from the configuration, serves, and stops. */
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { Logger } from "pino";
import { IsolateError, isolateFailed, toIsolateError } from "../protocol/errors.ts";
import { parseTemplateName } from "../protocol/names.ts";
import { version } from "../protocol/version.ts";
import { type Config, defaultConfigFile, loadConfig } from "./config.ts";
import { type Flags, readFlags } from "./flags.ts";
import { keepDoor, mostConnections } from "./http/door.ts";
import { createGate } from "./http/gate.ts";
import { createHandlers } from "./http/handlers.ts";
import { createHealth } from "./http/health.ts";
import { createPolicy } from "./http/peers.ts";
import { createServer, listen } from "./http/server.ts";
import { createIsSubordinate } from "./http/subordinate.ts";
import { createTurns } from "./http/turns.ts";
import { createLeaseSockets } from "./http/upgrade.ts";
import { createValidate } from "./http/validate.ts";
import { createAccountWithin } from "./idmap/accounts-within.ts";
import { textOf } from "./idmap/delegated.ts";
import { createIdsHealth } from "./idmap/ids-health.ts";
import { givenFrom } from "./idmap/ranges.ts";
import { type Reserved, reservedRanges } from "./idmap/reserved.ts";
import { createUserNamespaces } from "./idmap/userns.ts";
import { createEdits, sweepViews } from "./leases/edits.ts";
import { bootId } from "./leases/holder.ts";
import { createLeases } from "./leases/leases.ts";
import { createSandboxes } from "./leases/sandboxes.ts";
import { comeFirst } from "./linux/child-process.ts";
import { createProcessSearch } from "./linux/process-search.ts";
import { createKeeper } from "./pools/keeper.ts";
import { createPools } from "./pools/pools.ts";
import { reconcileRows, reconcileStorage } from "./pools/reconcile.ts";
import { createUsage } from "./pools/usage.ts";
import { createSignals } from "./pools/wake-files.ts";
import { openLeaseLog } from "./records/lease-log.ts";
import { openStore } from "./records/store.ts";
import { createAccounts, getent } from "./service/accounts.ts";
import { lockStateDirectory, requireHost } from "./service/host-lock.ts";
import { createLog } from "./service/log.ts";
import { createMetrics } from "./service/metrics.ts";
import { describeStatus } from "./service/status.ts";
import { createServiceManager, monotonicMicroseconds, type ServiceManager } from "./service/systemd.ts";
import { feedWatchdog } from "./service/watchdog.ts";
import { createOverlayDriver } from "./storage/overlay/driver.ts";
import { openStorage } from "./storage/storage.ts";
import { createZfsDriver } from "./storage/zfs/driver.ts";

/** Connections of one user in addition to those of the user's leases, and new connections per second. */
const plainConnections = 128;
const connectionsPerSecond = 500;
/** One user's limits for requests other than leases. */
const requests = { atATime: 16, perSecond: 100, together: 64 };
/** Milliseconds of work and of rest. */
const processSearch = { slice: 4, rest: 8 };
/** Milliseconds that a stop waits for clones that are being made or destroyed. */
const stopPatience = 10_000;

/** Milliseconds between two updates of the status line for the service manager. */
const statusInterval = 1000;
/** The keys that a reload applies; the others are read only at the start. */
const reloadable: readonly string[] = ["template", "pool", "limits", "log_level", "on_demand"];

const configure = ({ config, overrides }: Flags): Config =>
  loadConfig(config ?? defaultConfigFile, config !== undefined, overrides);

/** Checks names that would fail later, after changes to the host. Throws `cannot-start` and `bad-name`. */
function checkNames({ socket, template }: Config): void {
  // unix(7). Node would truncate the path and listen elsewhere.
  if (Buffer.byteLength(socket) > 107) {
    throw new IsolateError("cannot-start", {
      wrong: `the path of the socket is longer than 107 bytes: ${socket}`,
      fix: "choose another --socket",
    });
  }
  for (const { name } of template) parseTemplateName(name);
}

interface Service {
  /** The path where clients reach the daemon. */
  readonly socket: string;
  /** Applies the reloadable keys; returns the changed keys that wait for the next start. */
  reload(config: Config): Promise<readonly string[]>;
  status(problem: string | undefined): string;
  /** Throws if the database does not answer. */
  checkStore(): void;
  stop(): Promise<void>;
}

async function start(config: Config, manager: ServiceManager, log: Logger): Promise<Service> {
  let current = config;
  comeFirst();
  requireHost();
  checkNames(config);
  lockStateDirectory(config.state_dir);
  const clock = (): number => Date.now();
  const accounts = createAccounts(clock);
  const gid = await accounts.gid(config.group);
  if (gid === undefined) {
    const wrong = `there is no group '${config.group}'`;
    throw new IsolateError("cannot-start", { wrong, fix: `groupadd --system ${config.group}` });
  }
  mkdirSync(config.runtime_dir, { recursive: true, mode: 0o755 });
  mkdirSync(dirname(config.socket), { recursive: true, mode: 0o755 });

  const boot = bootId();
  const store = openStore(join(config.state_dir, "isolated.db"), randomUUID);
  const { storeId } = store;
  const storage = await openStorage(
    createZfsDriver({
      store: storeId,
      refquota: config.zfs.refquota,
      mountDirectory: join(config.state_dir, "mnt"),
      warn: (error) => log.warn({ err: error }, "cannot look for new snapshots"),
    }),
    createOverlayDriver({ storeId, directory: join(config.state_dir, "overlay"), log }),
  );
  process.once("exit", () => storage.close()); // however the process ends, even in a failed start
  const ids = { subuidFile: config.ids.subuid, subgidFile: config.ids.subgid, rangeBase: config.ids.base };
  const isSubordinate = createIsSubordinate({ ...ids, given: store.ranges, clock });
  const accountWithin = createAccountWithin(getent, clock);
  const reserved = (): readonly Reserved[] => reservedRanges(textOf("/etc/login.defs"));
  const namespaces = createUserNamespaces({
    ...ids,
    runtimeDirectory: config.runtime_dir,
    ranges: { rangeOf: store.rangeOf, all: store.ranges, save: store.saveRange },
    userName: accounts.userName,
    accountWithin,
    reserved,
    log,
  });
  const concurrency = (): number => current.pool.refill_concurrency;
  const released = createSignals(config.runtime_dir, clock, log);
  // Not before everything is built: the storage is looked through after the start.
  const returned = (): void => void setImmediate().then(compare);
  const keeper = createKeeper({ store, storage, boot, concurrency, clock, released, returned, log });
  const limit = (): number => current.limits.leases_per_user;
  const onDemand = (): boolean => current.on_demand;
  const leaseLog = openLeaseLog({ ...config.lease_log, file: join(config.state_dir, "leases.db"), clock, log });
  const usage = createUsage({ storage, templates: keeper.templates, clock, log });
  const pools = createPools({ store, keeper, storage, usage, config: () => current });
  const observe = createMetrics({ version, pools: pools.list, unsaved: leaseLog.unsaved });
  const leases = createLeases({ store, keeper, storage, namespaces, limit, onDemand, clock, leaseLog, observe, log });
  const edits = createEdits({ storage, namespaces, leaseLog, clock, log });
  const processes = createProcessSearch(processSearch);
  const sandboxes = createSandboxes({ leases, edits, clone: store.clone, processes });
  const idsInUse = createIdsHealth({ base: config.ids.base, given: store.ranges, reserved, accountWithin });
  const health = createHealth({ storage, keeper, store, stateDirectory: config.state_dir, limit, version, idsInUse });
  const policy = createPolicy({
    isSubordinate,
    group: { name: String(config.group), gid },
    templates: () => current.template,
    accounts,
  });
  const validate = createValidate();
  const monotonic = (): number => performance.now();
  const turns = createTurns({ ...requests, clock: monotonic });
  const gate = createGate(turns);
  const handlers = createHandlers({ pools, sandboxes, usage, leaseLog, health, metrics: observe, accounts });
  const app = createServer({ handlers, policy, validate, gate, log });
  const givenIds = givenFrom(config.ids.base);
  const ofLeases = { leases, edits, pools, policy, validate, observe, turns, processes, givenIds, log };
  const leaseSockets = createLeaseSockets(ofLeases);

  const reconciling = { store, storage, reclaimer: keeper.reclaimer, boot, log };
  function compare(): void {
    reconcileStorage(reconciling).catch((error: unknown) =>
      log.error({ err: error }, "cannot compare the database with the storage"),
    );
  }
  reconcileRows(reconciling);
  leases.adoptOrphans(boot);
  sweepViews(namespaces.users, new Set(leases.list().flatMap(({ lease }) => (lease ? [lease.view] : []))));
  pools.openNamed();
  const unwatch = storage.drivers().map((driver) =>
    driver.watch(
      () => keeper.templates().filter((template) => storage.nameFor(template) === driver.name),
      (template) => void keeper.changed(template),
    ),
  );

  await app.ready();
  // Of the request's own socket: newer releases of Node wrap it for the listener if the request announces a body.
  app.server.on("upgrade", (request: IncomingMessage, _stream: unknown, head: Buffer) =>
    leaseSockets.onUpgrade(request, Buffer.concat([head, gate.upgraded(request.socket)])),
  );
  const door = { policy, isSubordinate, all: mostConnections(), perSecond: connectionsPerSecond, clock: monotonic };
  keepDoor(app.server, { ...door, perAccount: () => limit() + plainConnections }, gate.connected);
  await listen(app.server, config.socket, gid, manager.socket?.fd);
  const socket = manager.socket?.path ?? config.socket;
  log.info({ socket, storage: storage.drivers().map(({ name }) => name), version }, "serving");
  // Work that scans the whole storage comes last, as it may take seconds.
  pools.open().catch((error: unknown) => log.error({ err: error }, "cannot look for templates in the storage"));
  void idsInUse(0).then(({ wrong, fix }) => {
    if (wrong !== null) log.error({ wrong, fix }, "the IDs for users without a range in subuid(5) are not usable");
  });
  compare();

  return {
    socket,
    async reload(next) {
      const keys = Object.keys(next) as (keyof Config)[];
      const later = keys.filter(
        (key) => !reloadable.includes(key) && JSON.stringify(next[key]) !== JSON.stringify(config[key]),
      );
      const before = current;
      current = next;
      try {
        await pools.open();
      } catch (error) {
        current = before;
        throw error;
      }
      log.level = next.log_level;
      return later;
    },
    status: (problem) => describeStatus(keeper.describe(), problem),
    checkStore: () => store.check(),
    async stop() {
      // New connections wait in the socket that systemd holds, for the next daemon.
      app.server.close();
      leases.drain();
      for (const stop of unwatch) stop();
      await keeper.stop(stopPatience);
      // Lets waiting callers get their refusal first; their clients then ask the next daemon.
      await setImmediate();
      leaseSockets.abandon();
      await app.close();
      namespaces.close();
      leaseLog.close();
      store.close();
    },
  };
}

/** Reports status changes, and feeds the watchdog while the daemon works. Returns a function that stops it. */
function report(service: Service, problem: () => string | undefined, manager: ServiceManager, log: Logger): () => void {
  let said = "";
  const tell = (): void => {
    const status = service.status(problem());
    if (status !== said) manager.notify(`STATUS=${status}`);
    said = status;
  };
  const timer = setInterval(tell, statusInterval);
  tell();
  const { socket, checkStore } = service;
  const period = manager.watchdog;
  const alive = (): void => manager.notify("WATCHDOG=1");
  const unwatch = period === undefined ? undefined : feedWatchdog({ socket, checkStore, period, alive, log });
  return () => {
    clearInterval(timer);
    unwatch?.();
  };
}

async function main(): Promise<void> {
  const flags = readFlags(process.argv, isolateFailed);
  const config = configure(flags);
  const log = createLog(config.log_level);
  const manager = createServiceManager(process.env);
  let problem: string | undefined;

  async function reload(service: Service): Promise<void> {
    manager.notify("RELOADING=1", `MONOTONIC_USEC=${monotonicMicroseconds()}`);
    try {
      const next = configure(flags);
      checkNames(next);
      const waiting = await service.reload(next);
      problem = undefined;
      log.info("the configuration is reloaded");
      if (waiting.length > 0) log.warn({ keys: waiting }, "changes of these keys require a restart of the daemon");
    } catch (error) {
      problem = toIsolateError(error).message;
      log.error({ err: error }, "cannot reload the configuration; the current one stays in use");
    }
    manager.notify("READY=1", `STATUS=${service.status(problem)}`);
  }

  const starting = start(config, manager, log);
  let turn: Promise<unknown> = starting;
  process.on("SIGHUP", () => {
    turn = turn.then(async () => reload(await starting));
  });
  const service = await starting;
  manager.notify("READY=1", `STATUS=${service.status(problem)}`);
  const unreport = report(service, () => problem, manager, log);

  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      log.info({ signal }, "stopping; running sandboxes continue");
      unreport();
      manager.notify("STOPPING=1");
      service.stop().then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ err: error }, "cannot stop cleanly");
          process.exit(isolateFailed);
        },
      );
    });
  }
}

main().catch((thrown: unknown) => {
  const error = toIsolateError(thrown);
  process.stderr.write(`isolated: ${error.message}\n${error.hint ? `  ${error.hint}\n` : ""}`);
  if (error.code === "internal" && thrown instanceof Error) process.stderr.write(`${thrown.stack}\n`);
  process.exit(isolateFailed);
});
