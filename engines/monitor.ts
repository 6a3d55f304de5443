/** The options of isolate-monitor, the process that the caller waits for and signals: native/monitor/monitor.c. */

export interface EngineWatch {
  /** The pipe's write end; isolate-init reads the other end. */
  readonly pipe: number;
  readonly newSession: boolean;
  /** The daemon's socket, if the monitor has to connect to it once at the end. */
  readonly wake: string | undefined;
}

/** Takes the engine's program and arguments, or its process id if it is already started. */
export function watchEngine({ pipe, newSession, wake }: EngineWatch, engine: readonly string[] | number): string[] {
  const which = typeof engine === "number" ? ["--engine", String(engine)] : ["--", ...engine];
  return ["--pipe", String(pipe), ...(newSession ? ["--new-session"] : []), ...waking(wake), ...which];
}

/** Shell commands to run on the host. */
export interface Hooks {
  readonly pre: string | undefined;
  readonly post: string | undefined;
}

export interface ClientWatch extends Hooks {
  /** Descriptor of the lease, which is released after the last hook. */
  readonly hold: number | undefined;
  readonly wake: string | undefined;
}

export function watchClient({ hold, pre, post, wake }: ClientWatch, client: readonly string[]): string[] {
  return [
    ...(hold === undefined ? [] : ["--hold", String(hold)]),
    ...(pre === undefined ? [] : ["--pre", pre]),
    ...(post === undefined ? [] : ["--post", post]),
    ...waking(wake),
    "--",
    ...client,
  ];
}

function waking(socket: string | undefined): string[] {
  return socket === undefined ? [] : ["--wake", socket];
}
