/** `GET /v1/metrics` in Prometheus' text format. No label contains a user, or text that users choose. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ErrorCode } from "../../protocol/errors.ts";
import type { Pool } from "../../protocol/schema.ts";

export interface MetricsOptions {
  readonly version: string;
  readonly pools: () => Promise<readonly Pool[]>;
  /** The number of lease log entries that are not yet on the disk. */
  readonly unsaved: () => number;
}

export interface Metrics {
  /** A lease was granted, `seconds` after its request. */
  granted(seconds: number): void;
  /** A lease was refused with that error code. */
  refused(code: ErrorCode): void;
  /** A caller waited `seconds` for a clone; nearly zero if one was ready. */
  waited(seconds: number): void;
  /** A lease ended, `seconds` after its start. */
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
    help: "Answered lease requests by result: granted, or the error code of the refusal.",
    labelNames: ["result"] as const,
    registers,
  });
  requests.inc({ result: "granted" }, 0);
  const granting = new Histogram({
    name: "isolate_lease_grant_duration_seconds",
    help: "Time from a lease request to its grant, including the wait for a clone.",
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30],
    registers,
  });
  const waiting = new Histogram({
    name: "isolate_lease_wait_duration_seconds",
    help: "Time that callers waited for a clone, whether they got one or not.",
    buckets: [0.0005, 0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
    registers,
  });
  const ends = new Counter({
    name: "isolate_leases_ended_total",
    help: "Ended leases by kind of end: ended, killed, cut-off, lost.",
    labelNames: ["end"] as const,
    registers,
  });
  for (const end of ["ended", "killed", "cut-off", "lost"]) ends.inc({ end }, 0);
  const held = new Histogram({
    name: "isolate_lease_held_duration_seconds",
    help: "Time from the grant of a lease to its end.",
    buckets: [0.1, 1, 10, 60, 600, 3600, 86400],
    registers,
  });
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames, registers });
  const clones = new Gauge({
    name: "isolate_clones",
    help: "Clones by template and state; failed: the last attempt to destroy the clone failed.",
    labelNames: ["template", "state"] as const,
    registers,
  });
  const size = gauge("isolate_pool_size", "Number of clones that the pool keeps ready.");
  const failing = gauge("isolate_pool_error", "1 while the pool has an error (see isolate pool), otherwise 0.");
  const templateBytes = gauge("isolate_template_bytes", "Bytes used by the template and its snapshots.");
  const cloneBytes = gauge("isolate_clones_bytes", "Bytes written to the template's clones.");
  new Gauge({
    name: "isolate_log_unsaved_entries",
    help: "Lease log entries that are not yet on the disk.",
    registers,
    collect() {
      this.set(unsaved());
    },
  });
  new Gauge({
    name: "isolate_build_info",
    help: "Always 1; the label contains the version.",
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
