/** Builds everything from the configuration, serves, and stops. */
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { Command } from "commander";
import type { Logger } from "pino";
import { createAccounts } from "./accounts.ts";
import { type Config, type ConfigOverrides, defaultConfigFile, loadConfig } from "./config.ts";
import { createHealth } from "./health.ts";
import { lockStateDirectory, requireHost } from "./host-lock.ts";
import { createHandlers } from "./http/handlers.ts";
import { createLeaseSockets } from "./http/lease-socket.ts";
import { createPolicy } from "./http/peer.ts";
import { createServer, limitConnections, listen } from "./http/server.ts";
import { createIsSubordinate } from "./http/subordinate.ts";
import { createValidate } from "./http/validate.ts";
import { createUserNamespaces } from "./idmap/userns.ts";
import { createEdits, sweepViews } from "./leases/edits.ts";
import { bootId } from "./leases/holder.ts";
import { createKeeper } from "./leases/keeper.ts";
import { openLeaseLog } from "./leases/lease-log.ts";
import { createLeases } from "./leases/leases.ts";
import { createPools } from "./leases/pools.ts";
import { reconcileRows, reconcileStorage } from "./leases/reconcile.ts";
import { createSandboxes } from "./leases/sandboxes.ts";
import { openStore } from "./leases/store.ts";
import { createUsage } from "./leases/usage.ts";
import { createLog } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { IsolateError, isolateFailed, toIsolateError } from "./protocol/errors.ts";
import { parseTemplateName } from "./protocol/names.ts";
import { version } from "./protocol/version.ts";
import { createOverlayDriver } from "./storage/overlay.ts";
import { openStorage } from "./storage/storage.ts";
import { createZfsDriver } from "./storage/zfs.ts";

/** Connections of one user beside those of their leases. */
const plainConnections = 256;
/** Milliseconds that a stop waits for clones that are being made or destroyed. */
const stopPatience = 10_000;

interface Flags {
  readonly config?: string;
  readonly socket?: string;
  readonly stateDir?: string;
  readonly runtimeDir?: string;
}

function readFlags(argv: readonly string[]): Flags {
  return new Command("isolated")
    .description("keeps pools of fresh clones of template roots and leases them to members of a group")
    .option("--config <file>", `configuration, by default ${defaultConfigFile}`)
    .option("--socket <path>", "socket to listen at")
    .option("--state-dir <directory>", "database and overlay store")
    .option("--runtime-dir <directory>", "views and user namespaces")
    .version(version)
    .allowExcessArguments(false)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : isolateFailed))
    .parse(argv)
    .opts<Flags>();
}

function configure(flags: Flags): Config {
  const overrides: ConfigOverrides = {
    ...(flags.socket === undefined ? {} : { socket: flags.socket }),
    ...(flags.stateDir === undefined ? {} : { state_dir: flags.stateDir }),
    ...(flags.runtimeDir === undefined ? {} : { runtime_dir: flags.runtimeDir }),
  };
  return loadConfig(flags.config ?? defaultConfigFile, flags.config !== undefined, overrides);
}

/** sd_listen_fds(3): the one socket is descriptor 3. */
const activated = process.env.LISTEN_PID === String(process.pid) && process.env.LISTEN_FDS === "1";

/** What would fail later, when the host has been changed already. Throws `cannot-start` and `bad-name`. */
function checkNames({ socket, template }: Config): void {
  // unix(7); Node would cut it off and listen elsewhere.
  if (Buffer.byteLength(socket) > 107) {
    throw new IsolateError("cannot-start", {
      wrong: `the path of the socket is longer than 107 bytes: ${socket}`,
      mend: "choose another --socket",
    });
  }
  for (const { name } of template) parseTemplateName(name);
}

async function start(config: Config, log: Logger): Promise<() => Promise<void>> {
  requireHost();
  checkNames(config);
  lockStateDirectory(config.state_dir);
  const clock = (): number => Date.now();
  const accounts = createAccounts(clock);
  const gid = await accounts.gid(config.group);
  if (gid === undefined) {
    const wrong = `there is no group '${config.group}'`;
    throw new IsolateError("cannot-start", { wrong, mend: `groupadd --system ${config.group}` });
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
  process.once("exit", () => storage.close()); // however this ends, a start that fails included
  const ids = { subuidFile: config.ids.subuid, subgidFile: config.ids.subgid, rangeBase: config.ids.base };
  const isSubordinate = createIsSubordinate({ ...ids, clock });
  const namespaces = createUserNamespaces({
    ...ids,
    runtimeDirectory: config.runtime_dir,
    ranges: { rangeOf: store.rangeOf, all: store.ranges, save: store.saveRange },
    userName: accounts.userName,
    log,
  });
  const concurrency = config.pool.refill_concurrency;
  const keeper = createKeeper({ store, storage, boot, concurrency, clock, log });
  const limit = config.limits.leases_per_user;
  const leaseLog = openLeaseLog({ ...config.lease_log, file: join(config.state_dir, "leases.db"), clock, log });
  const usage = createUsage({ storage, templates: keeper.templates, clock, log });
  const pools = createPools({ store, keeper, storage, usage, config });
  const observe = createMetrics({ version, pools: pools.list, unsaved: leaseLog.unsaved });
  const leases = createLeases({ store, keeper, storage, namespaces, limit, clock, leaseLog, observe, log });
  const edits = createEdits({ storage, namespaces, leaseLog, clock, log });
  const sandboxes = createSandboxes({ leases, edits, clone: store.clone });
  const health = createHealth({ storage, keeper, store, stateDirectory: config.state_dir, limit, version });
  const policy = createPolicy({
    isSubordinate,
    group: { name: String(config.group), gid },
    templates: config.template,
    accounts,
  });
  const validate = createValidate();
  const app = createServer({
    handlers: createHandlers({ pools, sandboxes, usage, leaseLog, health, metrics: observe, accounts }),
    policy,
    validate,
    log,
  });
  const leaseSockets = createLeaseSockets({ leases, edits, pools, policy, validate, observe, log });

  const reconciling = { store, storage, reclaimer: keeper.reclaimer, boot, log };
  reconcileRows(reconciling);
  leases.adoptOrphans(boot);
  sweepViews(namespaces.users, new Set(leases.list().flatMap(({ lease }) => (lease ? [lease.view] : []))));
  await pools.open();
  const unwatch = storage.drivers().map((driver) =>
    driver.watch(
      () => keeper.templates().filter((template) => storage.nameFor(template) === driver.name),
      (template) => void keeper.changed(template),
    ),
  );
  reconcileStorage(reconciling).catch((error: unknown) =>
    log.error({ err: error }, "cannot compare the rows with the storage"),
  );

  await app.ready();
  app.server.on("upgrade", leaseSockets.onUpgrade);
  limitConnections(app.server, limit + plainConnections);
  await listen(app.server, config.socket, gid, activated);
  log.info({ socket: config.socket, storage: storage.drivers().map(({ name }) => name), version }, "serving");

  return async () => {
    leases.drain();
    for (const stop of unwatch) stop();
    await keeper.stop(stopPatience);
    leaseSockets.abandon();
    await app.close();
    namespaces.close();
    leaseLog.close();
    store.close();
  };
}

async function notify(state: "ready" | "stopping"): Promise<void> {
  if (!process.env.NOTIFY_SOCKET) return;
  const { default: systemd } = await import("sd-notify");
  if (state === "ready") systemd.ready();
  else systemd.stopping();
}

async function main(): Promise<void> {
  const config = configure(readFlags(process.argv));
  const log = createLog(config.log_level);
  const stop = await start(config, log);
  await notify("ready");
  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      log.info({ signal }, "stopping; running sandboxes go on");
      notify("stopping")
        .then(stop)
        .then(
          () => process.exit(0),
          (error: unknown) => {
            log.error({ err: error }, "cannot stop in order");
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
