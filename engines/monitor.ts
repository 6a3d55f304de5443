/** The words of isolate-monitor, the process that the caller waits for and signals: native/monitor/monitor.c. */

export interface EngineWatch {
  /** The pipe's end to write to; isolate-init reads the other. */
  readonly pipe: number;
  readonly newSession: boolean;
  /** The daemon's socket, where somebody has to connect once at the end. */
  readonly wake: string | undefined;
}

/** The engine's program and arguments, or its process id where it has been started. */
export function watchEngine({ pipe, newSession, wake }: EngineWatch, engine: readonly string[] | number): string[] {
  const which = typeof engine === "number" ? ["--engine", String(engine)] : ["--", ...engine];
  return ["--pipe", String(pipe), ...(newSession ? ["--new-session"] : []), ...waking(wake), ...which];
}

/** Shell commands that are run on the host. */
export interface Hooks {
  readonly pre: string | undefined;
  readonly post: string | undefined;
}

export interface ClientWatch extends Hooks {
  /** Descriptor of the lease, given back after the last hook. */
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
