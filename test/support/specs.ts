/** Builders of plain specs for unit tests: each test sets only the fields that it is about. */
import type { RunRequest } from "../../client/run/options/requests.ts";
import type { Init, LaunchSpec } from "../../engines/spec.ts";

/** The instructions to isolate-init for a run without options. */
export const initSpec = (more: Partial<Init> = {}): Init => ({
  path: "/lib/isolate-init",
  leaseDescriptor: 4,
  heldDescriptor: undefined,
  monitorDescriptor: undefined,
  networkDescriptor: undefined,
  noAbstractSockets: false,
  filter: "default",
  filterDescriptor: undefined,
  noNewUserns: false,
  innerCapabilities: undefined,
  machineId: false,
  ...more,
});

/** A launch of `true` in `/view`, without mounts, capabilities or network. */
export const launchSpec = (more: Partial<LaunchSpec> = {}): LaunchSpec => ({
  root: "/view",
  readOnly: false,
  mounts: [],
  environment: {},
  workingDirectory: "/",
  hostname: "debian_1",
  network: "none",
  connection: undefined,
  userns: 5,
  capabilities: [],
  init: initSpec(),
  monitor: "/lib/isolate-monitor",
  newSession: false,
  command: ["true"],
  ...more,
});

/** The request of `isolate -z debian true`. */
export const runRequest = (more: Partial<RunRequest> = {}): RunRequest => ({
  root: { template: "debian", edit: false },
  engine: "bwrap",
  binds: [],
  variables: {},
  workingDirectory: "/",
  network: "none",
  abstractSockets: false,
  screen: undefined,
  sound: false,
  seccomp: { kind: "default" },
  ids: undefined,
  noNewUserns: false,
  readOnly: false,
  capabilities: undefined,
  ignoreInterrupt: false,
  newSession: false,
  hooks: undefined,
  role: { kind: "first" },
  limits: { cpu: undefined, memory: undefined, pids: undefined },
  boot: undefined,
  wait: undefined,
  command: ["true"],
  ...more,
});
