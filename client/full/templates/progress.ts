/** Shows the progress of a template's creation: the stage, the amount sent, and the elapsed time. */

/** The number of columns that every terminal has. */
const narrowTerminal = 80;

export interface ProgressDisplay {
  stage(text: string): void;
  sent(bytes: number): void;
  /** Removes the display; nothing is shown afterwards. */
  end(): void;
}

export interface ProgressTerminal {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

/** On a terminal, rewrites a single line; otherwise prints a line for each stage and every few seconds. */
export function createProgress(title: string, terminal: ProgressTerminal, quiet: boolean): ProgressDisplay {
  if (quiet) return { stage: () => {}, sent: () => {}, end: () => {} };
  const started = Date.now();
  let stage = "";
  let bytes = 0;
  const line = (): string => progressLine({ title, stage, bytes, milliseconds: Date.now() - started });
  const show = terminal.isTTY
    ? () => terminal.write(`\r\x1b[K${line().slice(0, narrowTerminal - 1)}`)
    : () => terminal.write(`${line()}\n`);
  const timer = setInterval(show, terminal.isTTY ? 200 : 5000);
  timer.unref();
  return {
    stage: (text) => {
      if (text === stage) return;
      stage = text;
      show();
    },
    sent: (more) => {
      bytes += more;
    },
    end: () => {
      clearInterval(timer);
      if (terminal.isTTY) terminal.write("\r\x1b[K");
    },
  };
}

export function progressLine(of: { title: string; stage: string; bytes: number; milliseconds: number }): string {
  const amount = of.bytes > 0 ? `, ${mebibytes(of.bytes)}` : "";
  return `${of.title}: ${of.stage}${amount}, ${duration(of.milliseconds)}`;
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
}

export function duration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (milliseconds < 10_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
