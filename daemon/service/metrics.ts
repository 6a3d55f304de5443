/** `GET /v1/metrics`: what the daemon counts, in Prometheus' text form. No label names a user or anything that users choose. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ErrorCode } from "../../protocol/errors.ts";
import type { Pool } from "../../protocol/schema.ts";

export interface MetricsOptions {
  readonly version: string;
  readonly pools: () => Promise<readonly Pool[]>;
  /** Entries of the log of leases that the disk has not taken. */
  readonly unsaved: () => number;
}

export interface Metrics {
  /** A lease was granted, so many seconds after it was asked for. */
  granted(seconds: number): void;
  /** A lease was refused; the code is of the one error table. */
  refused(code: ErrorCode): void;
  /** Somebody waited so many seconds for a clone; next to none where one was ready. */
  waited(seconds: number): void;
  /** A lease ended, so many seconds after its beginning. */
  ended(end: string, seconds: number): void;
  text(): Promise<string>;
}

const states = ["creating", "ready", "leased", "retired", "failed"] as const;

export function createMetrics({ version, pools, unsaved }: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const labelNames = ["template"] as const;
  const requests = new Counter({
    name: "isolate_lease_requests_total",
    help: "Requests for a lease that were answered, by result: granted, or the code of the refusal.",
    labelNames: ["result"] as const,
    registers,
  });
  requests.inc({ result: "granted" }, 0);
  const granting = new Histogram({
    name: "isolate_lease_grant_duration_seconds",
    help: "From a request for a lease to its grant, waiting included.",
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30],
    registers,
  });
  const waiting = new Histogram({
    name: "isolate_lease_wait_duration_seconds",
    help: "What callers waited for a clone, whether they got one or not.",
    buckets: [0.0005, 0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
    registers,
  });
  const ends = new Counter({
    name: "isolate_leases_ended_total",
    help: "Leases that ended, by how: ended, killed, cut-off, lost.",
    labelNames: ["end"] as const,
    registers,
  });
  for (const end of ["ended", "killed", "cut-off", "lost"]) ends.inc({ end }, 0);
  const held = new Histogram({
    name: "isolate_lease_held_duration_seconds",
    help: "From the grant of a lease to its end.",
    buckets: [0.1, 1, 10, 60, 600, 3600, 86400],
    registers,
  });
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames, registers });
  const clones = new Gauge({
    name: "isolate_clones",
    help: "Clones by template and state; failed: the last attempt to destroy it failed.",
    labelNames: ["template", "state"] as const,
    registers,
  });
  const size = gauge("isolate_pool_size", "Clones that the pool is to keep ready.");
  const failing = gauge("isolate_pool_error", "1 while the pool's last error stands (see isolate pool), else 0.");
  const templateBytes = gauge("isolate_template_bytes", "Bytes of the template and its snapshots.");
  const cloneBytes = gauge("isolate_clones_bytes", "Bytes written to the template's clones.");
  new Gauge({
    name: "isolate_log_unsaved_entries",
    help: "Entries of the log of leases that the disk has not taken yet.",
    registers,
    collect() {
      this.set(unsaved());
    },
  });
  new Gauge({
    name: "isolate_build_info",
    help: "Always 1; the label tells the version.",
    labelNames: ["version"] as const,
    registers,
  }).set({ version }, 1);

  return {
    granted(seconds) {
      requests.inc({ result: "granted" });
      granting.observe(seconds);
    },
    refused: (code) => requests.inc({ result: code }),
    waited: (seconds) => waiting.observe(seconds),
    ended(end, seconds) {
      ends.inc({ end });
      held.observe(Math.max(0, seconds)); // the clock may have been set back
    },
    async text() {
      const perTemplate = [clones, size, failing, templateBytes, cloneBytes];
      const found = await pools();
      for (const one of perTemplate) one.reset(); // a template may have been removed
      for (const pool of found) {
        const { template } = pool;
        for (const state of states)
          clones.set({ template, state }, pool[state] - (state === "retired" ? pool.failed : 0));
        size.set({ template }, pool.size);
        failing.set({ template }, pool.lastError === null ? 0 : 1);
        if (pool.bytes !== null) templateBytes.set({ template }, pool.bytes);
        if (pool.written !== null) cloneBytes.set({ template }, pool.written);
      }
      return registry.metrics();
    },
  };
}
